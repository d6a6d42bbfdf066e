"""Local response normalization with a window in registers."""

import importlib

from tinynet import kernels
from tinynet.course.cuda import CudaExercise
from tinynet.course.exercise import Twin
from tinynet.ops.local_response_norm import LocalResponseNorm

launcher = importlib.import_module("tinynet.kernels.local_response_norm")  # the package has a function of this name
ALPHA, K = 0.5, 2.0
SHORTEST = 1  # windows: so that a group has several runs

GUARD = "if (!path.exists) return;\n    T xs[SIZE] = {}"
FILL = "for (int c = path.first - HALF; c < path.first + HALF; ++c) shift_in(xs, path.at(x, c));"
WALK = "for (int i = path.first; i < path.end; ++i) {"
ENTER = "shift_in(xs, path.at(x, i + HALF));"
Y = "xs[HALF] * powers(k + a * sum_of_squares(xs), beta).minus_beta"
FILL_BACK = "for (int c = path.first - 2 * HALF; c < path.first; ++c)"
WALK_BACK = "for (int j = path.first - HALF; j < path.end + HALF; ++j) {"
T = "d * xs[HALF] * s.minus_one : 0"
DX = "ds[0] - b * xs[0] * sum(ts)"


def draw(rng, sizes):
    x, dy = rng.standard_normal((2, *(sizes[name] for name in "NCHW"))).astype("float32")
    return {"x": x, "dy": dy}


def run(part, a, sizes):
    how = sizes["size"], ALPHA, sizes["beta"], K, sizes["groups"]
    if part == "forward":
        return {"y": kernels.local_response_norm(a["x"], *how)}
    return {"dx": kernels.local_response_norm_backward(a["dy"], a["x"], *how)}


def expected(part, a, sizes):
    op = LocalResponseNorm(sizes["size"], ALPHA, sizes["beta"], K, sizes["groups"])
    y = op.forward(a["x"].astype("float64"))
    return {"y": y} if part == "forward" else {"dx": op.backward(a["dy"].astype("float64"))}


def traffic(part, sizes):
    """A run of L channels loads the channels that its windows reach beyond it, within its group."""
    N, C, H, W = (sizes[name] for name in "NCHW")
    group = C // sizes["groups"]
    size = min(sizes["size"], 2 * group - 1)
    length, half = min(max(SHORTEST * size, 1), group), size // 2

    def loads(beyond):
        runs = [(first, min(first + length, group)) for first in range(0, group, length)]
        channels = sum(min(end + beyond, group) - max(first - beyond, 0) for first, end in runs)
        return channels * sizes["groups"] * N * H * W

    if part == "forward":
        return {("x", "load"): loads(half), ("y", "store"): N * C * H * W}
    return {("x", "load"): loads(2 * half), ("dy", "load"): loads(half), ("dx", "store"): N * C * H * W}


LRN_KERNEL = CudaExercise(
    name="lrn_kernel",
    week=9,
    minutes=75,
    file="kernels/local_response_norm.cu",
    page="docs/local_response_norm.md",
    section="Backward, step by step",
    holes=("local_response_norm_forward", "local_response_norm_backward"),
    kept={"local_response_norm_forward": 1, "local_response_norm_backward": 1},
    launcher=launcher.__name__,
    settings=dict(SHORTEST=SHORTEST),
    parts=("forward", "backward"),
    sizes=dict(N=2, C=13, H=3, W=4, size=5, beta=0.75, groups=1),
    others={"two groups": dict(C=14, groups=2), "several blocks": dict(H=7, W=9)},
    draw=draw,
    run=run,
    expected=expected,
    traffic=traffic,
    twins=(
        Twin("y: the window is empty at the start of a run; it has to hold the HALF channels before and after first.",
             {FILL: ""}),
        Twin("y: channel i itself enters the window last: it is i + HALF that enters, and i is in the middle.",
             {ENTER: "shift_in(xs, path.at(x, i));"}),
        Twin("y: x[i] is the middle of the window, xs[HALF], not its oldest element.",
             {Y: Y.replace("xs[HALF]", "xs[0]")}),
        Twin("y: the window is summed without squares.", {Y: Y.replace("sum_of_squares", "sum")}),
        Twin("y: x is read beyond the ends of the group: path.at gives 0 there.",
             {ENTER: "shift_in(xs, x[path.pixel + (i + HALF) * path.HW]);"}),
        Twin("y: i <= end: the run ends before path.end, and that channel is another thread's.",
             {WALK: WALK.replace("i < path.end", "i <= path.end")}),
        Twin("y: the last block has threads beyond the last run: they have to return at once.",
             {f"{GUARD};": "T xs[SIZE] = {};"}),
        Twin("y: the whole window is loaded again in each step: keep it in registers, and load what enters.",
             {ENTER: "for (int c = i - HALF; c <= i + HALF; ++c) shift_in(xs, path.at(x, c));"}),
        Twin("dx: the window of x has to begin 2 * HALF channels before first, since t needs x up to HALF ahead.",
             {FILL_BACK: FILL_BACK.replace("2 * HALF", "HALF")}),
        Twin("dx: the walk has to begin HALF channels before first, so that the window of t is full.",
             {WALK_BACK: WALK_BACK.replace("path.first - HALF", "path.first")}),
        Twin("dx: the walk has to go on HALF channels beyond the end: dx is stored HALF channels behind j.",
             {WALK_BACK: WALK_BACK.replace("path.end + HALF", "path.end")}),
        Twin("dx: dx[i] is stored for i before first: these are another thread's.", {"if (i >= path.first) dx": "dx"}),
        Twin("dx: the sum over the window has the wrong sign.", {DX: DX.replace("-", "+")}, "Step 5"),
        Twin("dx: the sum over the window is missing: x_i reaches the loss through every s_j, too.",
             {DX: "ds[0]"}, "Step 5"),
        Twin("dx: x[i] is the oldest element of the window of x by now, xs[0].", {DX: DX.replace("xs[0]", "xs[HALF]")}),
        Twin("dx: t lacks the factor 1 / s: its power is -beta - 1.", {T: "d * xs[HALF] : 0"}, "Step 3"),
        Twin("dx: the last block has threads beyond the last run: they have to return at once.",
             {f"{GUARD}, ts": "T xs[SIZE] = {}, ts"}),
    ),
)  # fmt: skip
