"""Convolution as a matrix product, in tiles of shared memory."""

from tinynet import kernels
from tinynet.course.cuda import CudaExercise
from tinynet.course.exercise import Twin
from tinynet.kernels.loader import ceil_div
from tinynet.ops import conv2d as op

TILE = 16
LOOP = "for (unsigned first = 0; first < map.terms; first += TILE) {"
STORE_A = "a[threadIdx.y][threadIdx.x] ="
WRITTEN, READ = "__syncthreads();  // both tiles have been written", "__syncthreads();  // and read: the next"
PRODUCT = "sum += a[threadIdx.y][i] * b[i][threadIdx.x];"
LEFT = "inside(m, map.rows) && inside(e, map.terms) ? map.left"
NAIVE = "if (first + i < map.terms && m < map.rows && j < map.columns)"
NAIVE += " sum += map.left(m, first + i) * map.right(first + i, j);"


def geometry(sizes):
    return op.Geometry((1, 1), (sizes["padding"],) * 2, (1, 1), 1)


def draw(rng, sizes):
    N, C, H, W, K, R, S, _ = sizes.values()
    x, w = (rng.standard_normal(shape).astype("float32") for shape in ((N, C, H, W), (K, C, R, S)))
    return {"x": x, "w": w}


def run(part, a, sizes):
    return {"y": kernels.conv2d(a["x"], a["w"], None, *geometry(sizes), version=2)}


def expected(part, a, sizes):
    return {"y": op.correlate(a["x"].astype("float64"), a["w"].astype("float64"), None, geometry(sizes))}


def traffic(part, sizes):
    """Each block loads its tiles once: 2/16 loads per multiply-add."""
    N, C, H, W, K, R, S, _ = sizes.values()
    P, Q = geometry(sizes).places((H, W), (R, S))
    rows, columns, terms = K, N * P * Q, C * R * S
    return {
        ("w", "load"): ceil_div(columns, TILE) * rows * terms,
        ("x", "load"): ceil_div(rows, TILE) * columns * terms,
        ("y", "store"): rows * columns,
    }


CONV2D_TILED = CudaExercise(
    name="conv2d_tiled",
    week=9,
    minutes=60,
    file="kernels/conv2d_tiled.cu",
    page="docs/kernels.md",
    section="Version 2: tiles in shared memory",
    holes=("tiled_product",),
    kept={"tiled_product": 4},
    launcher="tinynet.kernels.conv2d",
    parts=("forward",),
    sizes=dict(N=2, C=3, H=7, W=6, K=20, R=3, S=2, padding=0),
    others={
        "whole tiles": dict(N=1, C=32, H=4, W=4, K=16, R=1, S=1), "padding": dict(padding=2),
        "one number": dict(N=1, C=1, H=1, W=1, K=1, R=1, S=1),
    },
    draw=draw,
    run=run,
    expected=expected,
    traffic=traffic,
    twins=(
        Twin("no barrier after the tiles are written: others multiply what has not been written yet.", {WRITTEN: "//"}),
        Twin(
            "no barrier after the tiles are read: a fast thread writes the next ones while a slow one reads these.",
            {READ: "//"},
        ),
        Twin("i <= TILE: a tile has columns 0 to TILE - 1.", {"i < TILE; ++i) sum": "i <= TILE; ++i) sum"}),
        Twin("tile a is transposed between storing and reading: its row is m, threadIdx.y, and its column e.",
             {STORE_A: "a[threadIdx.x][threadIdx.y] ="}),
        Twin("the product reads b transposed: it goes down column threadIdx.x of b, b[i][threadIdx.x].",
             {PRODUCT: "sum += a[threadIdx.y][i] * b[threadIdx.x][i];"}),
        Twin("b is loaded at row first + threadIdx.x: threadIdx.x is already the column j, so the row is threadIdx.y.",
             {"f = first + threadIdx.y": "f = first + threadIdx.x"}),
        Twin("the result is stored without asking whether m and j exist: the last tiles stick out of the product.",
             {"if (inside(m, map.rows) && inside(j, map.columns)) map.store": "map.store"}),
        Twin("a is loaded without asking whether e exists: the last tile sticks out of the sum, and gets zeros there.",
             {LEFT: "inside(m, map.rows) ? map.left"}),
        Twin("a is loaded without asking whether m exists: the last tile sticks out of the rows, and gets zeros there.",
             {LEFT: "inside(e, map.terms) ? map.left"}),
        Twin("sum does not start at 0: a variable in a register holds anything before it is set.",
             {"T sum = 0;\n    for (unsigned": "T sum;\n    for (unsigned"}),
        Twin("sum starts again at 0 for each tile: the tiles are parts of one sum.", {LOOP: f"{LOOP} sum = 0;"}),
        Twin("the last tile is left out where it is not full: go on while first < terms, with zeros beyond.",
             {LOOP: LOOP.replace("first < map.terms", "first + TILE <= map.terms")}),
        Twin("only the first tile is multiplied: walk along the whole sum.",
             {LOOP: LOOP.replace("+= TILE", "+= map.terms")}),
        Twin("the sum reads global memory, not the tiles: each number is then loaded 16 times.", {PRODUCT: NAIVE}),
    ),
)  # fmt: skip
