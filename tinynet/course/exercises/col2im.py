"""col2im: what copied forward adds up backward."""

import numpy as np

from tinynet.course.exercise import Twin
from tinynet.course.python import Hand, PythonExercise, Simpler


def draw(rng, sizes):
    """x is not 0 at first: col2im adds to it."""
    C, R, S, B, P, Q = (sizes[name] for name in "CRSBPQ")
    t, d = pair(sizes["stride"]), pair(sizes["dilation"])
    H, W = t[0] * (P - 1) + d[0] * (R - 1) + 1 + sizes["rest"], t[1] * (Q - 1) + d[1] * (S - 1) + 1
    return {"columns": rng.standard_normal((C, R, S, B, P, Q)), "x": rng.standard_normal((B, C, H, W))}


def pair(size):
    return size if isinstance(size, tuple) else (size, size)


def run(module, part, arrays, sizes):
    x = arrays["x"].copy()
    module.col2im(arrays["columns"], x, pair(sizes["stride"]), pair(sizes["dilation"]))
    return {"x": x}


def loops(arrays, sizes):
    """With stride 1 and dilation 1."""
    columns, x = arrays["columns"], arrays["x"].copy()
    for c, r, s, b, p, q in np.ndindex(columns.shape):
        x[b, c, p + r, q + s] += columns[c, r, s, b, p, q]
    return {"x": x}


ROWS = "rows[..., steps(r, P, stride[0], dilation[0]), :] += columns[:, r]"
X = "x[..., steps(s, Q, stride[1], dilation[1])] += rows[:, s].swapaxes(0, 1)"
START = "    C, R, S, B, P, Q = columns.shape\n"
ASSIGN = {ROWS: ROWS.replace("+=", "="), X: X.replace("+=", "=")}
FIRST_WINS = {
    f"for r in range(R):\n        {ROWS}": f"for r in reversed(range(R)):\n        {ASSIGN[ROWS]}",
    f"for s in range(S):\n        {X}": f"for s in reversed(range(S)):\n        {ASSIGN[X]}",
}

COL2IM = PythonExercise(
    parts=("col2im",),
    run=run,
    name="col2im",
    week=6,
    minutes=45,
    file="windows.py",
    page="docs/conv2d.md",
    section="Backward, step by step",
    holes=("col2im",),
    hide={"\n\n    A pixel that several windows share receives the sum. The same two steps, in reverse.\n    ": ""},
    given={
        "col2im": [
            "C, R, S, B, P, Q = columns.shape",
            "# cell(r, s, P, Q, stride, dilation) is the slice of x that is pixel (r, s) of all windows.",
        ]
    },
    sizes=dict(C=2, R=3, S=2, B=3, P=4, Q=5, stride=1, dilation=1, rest=0),
    smallest=dict(C=1, R=1, S=1, B=1, P=1, Q=1, stride=1, dilation=1, rest=0),
    others={
        "one image": dict(B=1),
        "stride=2": dict(stride=2),
        "dilation=2": dict(dilation=2),
        "windows side by side": dict(stride=2, R=2),
        "rows that no window reaches": dict(stride=2, rest=1),
        "stride=(2, 1), dilation=(1, 3)": dict(stride=(2, 1), dilation=(1, 3)),
        "one pixel": dict(R=1, S=1),
    },
    draw=draw,
    loops=loops,
    axes={"x": "BCHW"},
    simpler=(
        Simpler("one image", dict(B=1), "The columns have the images on axis 3, x has them on axis 0."),
        Simpler("stride=1", dict(stride=1), "Window (p, q) starts at pixel (p * stride, q * stride)."),
        Simpler("dilation=1", dict(dilation=1), "Pixel r of a window is r * dilation from its start."),
        Simpler(
            "windows that do not overlap",
            lambda sizes: dict(stride=max(sizes["R"], sizes["S"]), dilation=1),
            "A pixel of several windows gets the sum: += and not =.",
        ),
        Simpler("windows of one pixel", dict(R=1, S=1), "Look at where pixel (r, s) of a window lies."),
    ),
    hand=Hand(
        {
            "columns": np.array([[1.0, 0, -1, 2], [2, 0, -2, 4], [0, 0, 0, 0], [-1, 0, 1, -2]]).reshape(
                1, 2, 2, 1, 2, 2
            ),
            "x": np.zeros((1, 1, 3, 3)),
        },
        {"x": [[[[1, 2, 0], [-1, -1, 4], [0, 1, -2]]]]},
    ),
    twins=(
        Twin(
            "`=` stands for `+=`: a pixel that several windows share gets the sum, not the last one's.",
            ASSIGN,
            "Input gradient, step 2: col2im",
        ),
        Twin(
            "`=` stands for `+=`: a pixel keeps the last window's part only.",
            FIRST_WINS,
            "Input gradient, step 2: col2im",
        ),
        Twin(
            "x is set to 0 first: what it holds already is to be kept, and added to.",
            {START: START + "    x[...] = 0\n"},
            "Input gradient, step 2: col2im",
        ),
        Twin(
            "x is not written to: `x = x + ...` makes a new array.",
            {START: START + "    x = x.copy()\n"},
            "Input gradient, step 2: col2im",
        ),
        Twin("the stride is left out.", {START: START + "    stride = (1, 1)\n"}, "## The formula"),
        Twin("the dilation is left out.", {START: START + "    dilation = (1, 1)\n"}, "## The formula"),
        Twin(
            "stride and dilation are exchanged.",
            {START: START + "    stride, dilation = dilation, stride\n"},
            "## The formula",
        ),
        Twin(
            "the windows are flipped: row r of the columns belongs r rows below the window's start.",
            {START: START + "    columns = columns[:, ::-1, ::-1]\n"},
            "Input gradient, step 2: col2im",
        ),
        Twin(
            "each sum is divided by R * S: add, without a mean.",
            {START: START + "    columns = columns / (R * S)\n"},
            "Input gradient, step 2: col2im",
        ),
        Twin(
            "reshape cannot exchange axes: the columns have (C, ..., B, ...), x has (B, C, ...).",
            {START: START + "    columns = np.moveaxis(columns, 3, 0).reshape(columns.shape)\n"},
            "## im2col: every window becomes a column",
        ),
    ),
)
