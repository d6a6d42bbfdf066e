"""The first kernel: a grid-stride loop, in which no thread depends on another."""

import numpy as np

from tinynet import kernels
from tinynet.course.cuda import CudaExercise
from tinynet.course.exercise import Twin

START = "unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += threads)"
FORWARD, BACKWARD = (f"for ({START}\n        {line}" for line in ("y[i] = x[i]", "dx[i] = y[i]"))
Y, DX = "y[i] = x[i] < 0 ? 0 : x[i];", "dx[i] = y[i] > 0 ? dy[i] : 0;"


def draw(rng, sizes):
    """Every tenth y is 0, and one x is a NaN."""
    x, y, dy = rng.standard_normal((3, sizes["size"])).astype("float32")
    x[sizes["size"] // 2] = np.nan
    y[::10] = 0
    return {"x": x, "y": np.abs(y) * (y > -1), "dy": dy}


def run(part, a, sizes):
    return {"y": kernels.relu(a["x"])} if part == "forward" else {"dx": kernels.relu_backward(a["dy"], a["y"])}


def expected(part, a, sizes):
    return {"y": np.maximum(a["x"], 0)} if part == "forward" else {"dx": np.where(a["y"] > 0, a["dy"], 0)}


def traffic(part, sizes):
    loads, stored = (["x"], "y") if part == "forward" else (["y", "dy"], "dx")
    return {(name, "load"): sizes["size"] for name in loads} | {(stored, "store"): sizes["size"]}


def changed(line, old, new):
    """An edit of one of the two loops, which are alike."""
    return {line: line.replace(old, new)}


RELU_KERNEL = CudaExercise(
    name="relu_kernel",
    week=9,
    minutes=30,
    file="kernels/relu.cu",
    page="docs/kernels.md",
    section="A GPU in twenty lines",
    holes=("relu_forward", "relu_backward"),
    launcher="tinynet.kernels.relu",
    settings=dict(MAX_BLOCKS=2),  # so that the grid has fewer threads than there are elements
    parts=("forward", "backward"),
    sizes=dict(size=1200),
    others={"whole blocks": dict(size=1024), "a thread too many": dict(size=511), "one element": dict(size=1)},
    draw=draw,
    run=run,
    expected=expected,
    traffic=traffic,
    twins=(
        Twin("i <= size: the last element is x[size - 1].", changed(FORWARD, "i < size", "i <= size")),
        Twin(
            "each thread takes one element only, so the rest of a large array is never written: go on by the number of "
            "threads in the grid, again and again.",
            changed(FORWARD, "i += threads", "i += size"),
        ),
        Twin(
            "the loop goes on by blockDim.x, the threads of one block: two blocks then do the same elements.",
            changed(FORWARD, "i += threads", "i += blockDim.x"),
        ),
        Twin(
            "threadIdx.x alone is counted within the block: every block does the same elements.",
            changed(FORWARD, "blockIdx.x * blockDim.x + threadIdx.x", "threadIdx.x"),
        ),
        Twin(
            "blockIdx.x * gridDim.x: a block's first element is blockIdx.x times the threads of a block, blockDim.x.",
            changed(FORWARD, "blockIdx.x * blockDim.x", "blockIdx.x * gridDim.x"),
        ),
        Twin("a NaN becomes 0: x > 0 is false for it, and so is x < 0.", {Y: "y[i] = x[i] > 0 ? x[i] : 0;"}),
        Twin("y is min(x, 0), the other half of x.", {Y: "y[i] = x[i] < 0 ? x[i] : 0;"}),
        Twin("i <= size: the last element is dx[size - 1].", changed(BACKWARD, "i < size", "i <= size")),
        Twin("dy passes where y is 0, too: there the slope is taken to be 0.", {DX: "dx[i] = y[i] >= 0 ? dy[i] : 0;"}),
        Twin("dx is the slope alone: multiply by dy.", {DX: "dx[i] = y[i] > 0 ? 1 : 0;"}),
        Twin("where y is 0, dx is not written at all, and keeps what was there.", {DX: "if (y[i] > 0) dx[i] = dy[i];"}),
    ),
)
