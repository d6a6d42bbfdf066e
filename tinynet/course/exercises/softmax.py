"""Softmax: every output depends on every input, through the sum."""

import math

import numpy as np

from tinynet.course.exercise import Twin
from tinynet.course.python import Hand, Simpler, layer


def draw(rng, sizes):
    return {"x": sizes["scale"] * rng.standard_normal((sizes["N"], sizes["C"]))}


def loops(arrays, sizes):
    rows = []
    for row in arrays["x"].tolist():
        total = sum(math.exp(x) for x in row)
        rows.append([math.exp(x) / total for x in row])
    return {"y": np.array(rows)}


SUM = "pairwise_sum(dy * y, (self.axis,), keepdims=True)"
DX = f"dx = dy - {SUM}\n        dx *= y\n"
NORMALIZE = "y /= pairwise_sum(y, (axis,), keepdims=True)"
SHIFT = "y = x - x.max(axis, keepdims=True)"

SOFTMAX = layer(
    lambda module, a, sizes: module.softmax(a["x"], sizes["dim"]),
    name="softmax",
    week=4,
    minutes=45,
    file="ops/softmax.py",
    page="docs/softmax_cross_entropy.md",
    section="Softmax, backward",
    holes=("probabilities", "Softmax.backward"),
    given={"Softmax.backward": ["# self.saved is a tuple, even of one array: (y,) = self.saved"]},
    hide={"dx_j = sum_i dy_i * dy_i/dx_j = y_j * (dy_j - sum_i dy_i * y_i)": "dx_j = sum_i dy_i * dy_i/dx_j = ..."},
    sizes=dict(N=4, C=5, dim=1, scale=1),
    smallest=dict(N=1, C=1, scale=1),
    others={
        "dim=0": dict(dim=0),
        "one class": dict(C=1),
        "one row": dict(N=1),
        "no rows": dict(N=0),
        "scores in the thousands": dict(scale=5000),
    },
    draw=draw,
    loops=loops,
    axes={"y": "NC", "dx": "NC"},
    simpler=(
        Simpler("scores near 0", dict(scale=1), "Subtract the largest score first: e^x overflows."),
        Simpler("one row", dict(N=1), "Sum along `dim` only: the rows have nothing to do with each other."),
        Simpler("dim=1", dict(dim=1), "The axis is self.axis."),
    ),
    hand=Hand(
        {"x": np.log([[1.0, 2, 5]]), "dy": np.array([[0.0, -4, 0]])},
        {"y": [[0.125, 0.25, 0.625]], "dx": [[0.125, -0.75, 0.625]]},
    ),
    twins=(
        Twin(
            "e^x overflows for large scores: subtract the largest score of each row first, which changes nothing else.",
            {SHIFT: "y = x.copy()"},
            "Why one step is better than two",
        ),
        Twin(
            "the largest of all scores is subtracted: rows with small scores become 0 / 0. Take each row's own.",
            {SHIFT: "y = x - x.max()"},
            "Why one step is better than two",
        ),
        Twin(
            "y is divided by the sum over all rows, not by each row's own.",
            {NORMALIZE: "y /= y.sum()"},
            "The formulas",
        ),
        Twin(
            "y is summed along the other axis.", {NORMALIZE: "y /= y.sum(1 - axis, keepdims=True)"}, "The formulas"
        ),
        Twin(
            "y is not divided by the sum: the probabilities of a row sum to 1.", {NORMALIZE: "pass"}, "The formulas"
        ),
        Twin("the axis is always 1: use the argument.", {NORMALIZE: "y /= y.sum(1, keepdims=True)"}, "The formulas"),
        Twin(
            "the sum over p * dp is missing: p_j depends on every x, through the sum.", {DX: "dx = dy * y\n"}, "Step 2"
        ),
        Twin("the last factor p is missing: dx = p * (dp - sum).", {DX: f"dx = dy - {SUM}\n"}, "Step 3"),
        Twin("the sum is over dp alone; it is over p * dp.", {SUM: "dy.sum(self.axis, keepdims=True)"}, "Step 3"),
        Twin(
            "dx = dp * p * (1 - p) is the sigmoid's: it has the diagonal of the Jacobian only.",
            {DX: "dx = dy * y * (1 - y)\n"},
            "Step 2",
        ),
        Twin("the sign is wrong: dp comes first, the sum is subtracted.", {f"dy - {SUM}": f"{SUM} - dy"}, "Step 3"),
        Twin(
            "the sum is divided by the number of classes: a mean takes its place.",
            {SUM: "(dy * y).mean(self.axis, keepdims=True)"},
            "Step 3",
        ),
        Twin("the sum is added; it is subtracted.", {f"dy - {SUM}": f"dy + {SUM}"}, "Step 2"),
        Twin("the sum runs over all rows; each row has its own.", {SUM: "(dy * y).sum()"}, "Step 4"),
        Twin(
            "the sum needs keepdims=True: (N,) does not broadcast against (N, C).",
            {SUM: "(dy * y).sum(self.axis)"},
            "Step 4",
        ),
        Twin(
            "the sum in backward runs along axis 1 always: use self.axis.",
            {SUM: "(dy * y).sum(1, keepdims=True)"},
            "Step 4",
        ),
        Twin(
            "x is saved and used for p: backward needs the probabilities.",
            {"self.save(y)": "self.save(x)"},
            "What is saved, and why",
        ),
        Twin(
            "dy is written to, and others may need it: make a new array.",
            {DX: f"dy *= y\n        dx = dy - y * {SUM}\n"},
            "Step 3",
        ),
    ),
)
