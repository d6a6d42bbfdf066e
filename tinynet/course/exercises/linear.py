"""The fully connected layer: three products, of which only one order fits each time."""

import numpy as np

from tinynet.course.exercise import Twin
from tinynet.course.python import Hand, Simpler, layer


def draw(rng, sizes):
    N, D, C, K = (sizes[name] for name in "NDCK")
    x = rng.standard_normal((N, C) if D == 1 else (N, D, C))
    arrays = {"x": x, "w": rng.standard_normal((K, C)), "b": rng.standard_normal(K)}
    return arrays if sizes["bias"] else {"x": arrays["x"], "w": arrays["w"]}


def loops(arrays, sizes):
    x, w, b = arrays["x"], arrays["w"], arrays["b"]
    y = np.zeros((len(x), len(w)))
    for n in range(len(x)):
        for k in range(len(w)):
            y[n, k] = b[k]
            for c in range(x.shape[1]):
                y[n, k] += x[n, c] * w[k, c]
    return {"y": y}


DX, DW, DB = "matmul(rows(dy), w).reshape(x.shape)", "matmul(rows(dy).T, rows(x))", "pairwise_sum(rows(dy), (0,))"
NO_BIAS = "b is None where the layer has no bias."
FORWARD = "matmul(rows(x), w.T).reshape(*x.shape[:-1], len(w))"

LINEAR = layer(
    lambda module, a, sizes: module.linear(a["x"], a["w"], a.get("b")),
    name="linear",
    week=3,
    minutes=45,
    file="ops/linear.py",
    page="docs/linear.md",
    section="Backward, step by step",
    holes=("Linear.forward", "Linear.backward"),
    hide={
        "dx = dy @ w ": "dx = ...    ",
        "dw = dy.T @ x": "dw = ...     ",
        "db = dy summed over n": "db = ...             ",
    },
    given={
        "Linear.backward": [
            "# self.saved is a tuple of what forward gave to self.save.",
            "# One cotangent for each input: dx, dw and db, or dx and dw if there was no bias:",
            "# len(self.needs_input_grad) inputs. rows() makes a matrix of an x or dy of more axes.",
        ]
    },
    sizes=dict(N=4, D=1, C=3, K=5, bias=1),
    smallest=dict(N=1, D=1, C=1, K=1),
    others={"no bias": dict(bias=0), "three axes": dict(D=2), "one row": dict(N=1), "no rows": dict(N=0)},
    draw=draw,
    loops=loops,
    axes={"y": "NK", "dx": "NC", "dw": "KC", "db": "K"},
    simpler=(
        Simpler(
            "x of two axes",
            dict(D=1),
            "rows() makes (N, C) of any x, for dw and db; dx must have x's own shape again: see \"Step 5\".",
        ),
        Simpler("one row of x", dict(N=1), "Is a sum over the rows, the images of a batch, missing?"),
    ),
    hand=Hand(
        {
            "x": np.array([[1.0, 2], [3, 4]]),
            "w": np.array([[1.0, 0], [2, -1], [0, 3]]),
            "b": np.array([0.0, 1, 2]),
            "dy": np.array([[1.0, 0, -1], [2, 1, 0]]),
        },
        {"y": [[1, 1, 8], [3, 3, 14]], "dx": [[1, -3], [4, -1]], "dw": [[7, 10], [3, 4], [-1, -2]], "db": [3, 1, -1]},
    ),
    twins=(
        Twin("the bias is not added.", {"            y += b\n": "            pass\n"}, "The formula"),
        Twin(NO_BIAS, {"if b is not None:\n            y += b\n": "y = y + b\n"}, "The formula"),
        Twin(NO_BIAS, {"if b is not None:": "if True:"}, "The formula"),
        Twin("the bias is subtracted.", {"y += b\n": "y -= b\n"}, "The formula"),
        Twin(
            "y = x @ w: the matrix w is (K, C), so its transpose is needed.",
            {FORWARD: "matmul(rows(x), w)"},
            "The formula",
        ),
        Twin(
            "dx = dy @ w.T: w.T was for the way forward, w is for the way back.",
            {DX: "matmul(rows(dy), w.T)"},
            "Step 2",
        ),
        Twin("dw is transposed: x.T @ dy is (C, K), and w is (K, C).", {DW: "matmul(rows(x).T, rows(dy))"}, "Step 3"),
        Twin(
            "dw is divided by N: a mean over the batch is the loss's business.",
            {DW: DW + " / len(rows(x))"},
            "Step 3",
        ),
        Twin(
            "dw comes from the first image only: every image uses w.",
            {DW: "matmul(rows(dy)[:1].T, rows(x)[:1])"},
            "Step 3",
        ),
        Twin(
            "db is not summed over the batch: every image uses b.",
            {DB: "rows(dy)"},
            "Step 4",
        ),
        Twin(
            "db comes from the first image only.",
            {DB: "rows(dy)[0]"},
            "Step 4",
        ),
        Twin(
            "db is a mean over the batch, and should be a sum.",
            {DB: "rows(dy).mean(0)"},
            "Step 4",
        ),
        Twin("db is summed over k instead of n.", {DB: "rows(dy).sum(1)"}, "Step 4"),
        Twin("dw and db have the wrong sign.", {DW: f"-{DW}", DB: f"-{DB}"}, "Step 3"),
        Twin(
            "without a bias there are two inputs, so backward returns two cotangents.",
            {"if len(needs) == 2:": "if False:", "if needs[2] else None": ""},
            "Step 4",
        ),
    ),
)
