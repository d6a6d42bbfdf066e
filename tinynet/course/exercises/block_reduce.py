"""A reduction: by shuffles within a warp, and then through shared memory."""

from tinynet import kernels
from tinynet.course.cuda import CudaExercise
from tinynet.course.exercise import Twin
from tinynet.ops.cross_entropy import CrossEntropy

NO_CLASS, SMOOTHING = -100, 0.1
FIRST = "    __syncthreads();\n    value = lane"
LAST = "    __syncthreads();  // no warp may write per_warp for the next reduction while another one still reads it\n"
WITHIN = "value = combine(value, __shfl_xor_sync(0xffffffff, value, away));"
IN_WARP = f"for (int away = 1; away < WARP; away *= 2) {WITHIN}\n    if (lane == 0) per_warp"
SECOND = "value = lane < blockDim.x / WARP ? per_warp[lane] : neutral;"
AGAIN = f"for (int away = 1; away < WARP; away *= 2) {WITHIN}\n{LAST}"


def draw(rng, sizes):
    N, C = sizes["N"], sizes["C"]
    x = rng.standard_normal((N, C, 1)).astype("float32") - sizes["below"]
    return {"x": x, "target": rng.integers(0, C, (N, 1))}


def run(part, a, sizes):
    return {"loss": kernels.softmax_cross_entropy(a["x"], a["target"], None, NO_CLASS, SMOOTHING)}


def expected(part, a, sizes):
    x = a["x"].astype("float64")
    return {"loss": CrossEntropy(a["target"], None, NO_CLASS, "none", SMOOTHING).forward(x).astype("float32")}


BLOCK_REDUCE = CudaExercise(
    name="block_reduce",
    week=9,
    minutes=45,
    file="kernels/softmax_cross_entropy.cu",
    page="docs/emulator.md",
    section="A race: `racecheck`",
    holes=("block_reduce",),
    launcher="tinynet.kernels.softmax_cross_entropy",
    parts=("loss",),
    sizes=dict(N=2, C=300, below=0),
    others={"one warp": dict(C=20), "two warps": dict(C=33), "far below 0": dict(below=10_000)},
    draw=draw,
    run=run,
    expected=expected,
    twins=(
        Twin(
            "no barrier between writing per_warp and reading it: another warp may not have written yet.",
            {FIRST: FIRST.partition("\n")[2]},
        ),
        Twin(
            "no barrier at the end: the next reduction writes per_warp while a slow warp still reads it for this one.",
            {LAST: ""},
        ),
        Twin("__syncwarp() waits for 32 threads only: the block needs __syncthreads().",
             {FIRST: FIRST.replace("threads", "warp")}),
        Twin(
            "all lanes of a warp write per_warp at the same time: let lane 0 do it.",
            {"if (lane == 0) per_warp": "per_warp"},
        ),
        Twin(
            "every lane reads per_warp, but only blockDim.x / WARP numbers have been written: the other lanes get "
            "`neutral`.",
            {SECOND: "value = per_warp[lane];"},
        ),
        Twin(
            "the neutral element is 0 for all: that is right for a sum, but the maximum of negative numbers is not 0.",
            {SECOND: SECOND.replace("neutral", "0")},
        ),
        Twin("per_warp has one number per warp: its index is threadIdx.x / WARP.",
             {"per_warp[threadIdx.x / WARP]": "per_warp[threadIdx.x]"}),
        Twin("the shuffles stop at 8 lanes away, so half of each warp is left out.",
             {IN_WARP: IN_WARP.replace("away < WARP", "away < WARP / 2")}),
        Twin(
            "the shuffles start at 2 lanes away, so every second lane is left out.",
            {IN_WARP: IN_WARP.replace("away = 1", "away = 2")},
        ),
        Twin(
            "the numbers of the warps are not reduced: a second round of shuffles has to follow.",
            {AGAIN: LAST},
        ),
        Twin(
            "only the first warp reduces the warps' numbers, and the others return what they had: all threads need it.",
            {SECOND: f"if (threadIdx.x < WARP) {SECOND}"},
        ),
    ),
)
