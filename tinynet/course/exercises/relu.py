"""The first operation: a switch for each number."""

import numpy as np

from tinynet.course.exercise import Twin
from tinynet.course.python import Hand, layer


def draw(rng, sizes):
    """Away from the bend at 0, except for `zeros` numbers at 0."""
    x = rng.standard_normal((sizes["N"], sizes["C"]))
    x += 0.1 * np.sign(x)
    x.reshape(-1)[: sizes["zeros"]] = 0
    return {"x": x}


def loops(arrays, sizes):
    return {"y": np.array([[max(x, 0) for x in row] for row in arrays["x"].tolist()])}


GATED = "return elementwise(lambda dx, dy, y: gate(dx, dy, y > 0), dy, y)"

RELU = layer(
    lambda module, a, sizes: module.relu(a["x"]),
    name="relu",
    week=2,
    minutes=30,
    file="ops/relu.py",
    page="docs/relu.md",
    section="Backward, step by step",
    holes=("Relu.forward", "Relu.backward"),
    given={"Relu.backward": ["# self.saved is a tuple of what forward saved, even of one array: (y,) = self.saved"]},
    hide={"dx = dy   where y > 0,   0 elsewhere": "dx = ..."},
    sizes=dict(N=4, C=5, zeros=0),
    smallest=dict(N=1, C=1, zeros=0),
    others={"a zero": dict(zeros=1), "one row": dict(N=1), "no rows": dict(N=0)},
    draw=draw,
    loops=loops,
    axes={"y": "NC", "dx": "NC"},
    hand=Hand(
        {"x": np.array([[-2, -0.5, 0, 3]]), "dy": np.array([[1.0, 2, 3, 4]])},
        {"y": [[0, 0, 0, 3]], "dx": [[0, 0, 0, 4]]},
    ),
    twins=(
        Twin("y is |x|: what is negative should become 0.", {"xp.maximum(x, 0, out=y)": "xp.absolute(x, out=y)"}),
        Twin("y is min(x, 0), the other half of x.", {"xp.maximum(x, 0, out=y)": "xp.minimum(x, 0, out=y)"}),
        Twin(
            "dx is dy everywhere: the slope is 1 only where x > 0 (y >= 0 always holds).",
            {GATED: "return dy"},
            "Step 3",
        ),
        Twin(
            "dy passes at x = 0, too: there the slope is taken to be 0.",
            {"self.save(y)": "self.save(x)", "y > 0), dy": "y >= 0), dy"},
            "Step 4",
        ),
        Twin("dy passes where x < 0 and stops where x > 0.", {"y > 0), dy": "y <= 0), dy"}, "Step 3"),
        Twin("dx is dy times y instead of dy times the slope.", {GATED: "return dy * y"}, "Step 2"),
        Twin("dx is the slope alone, 1 or 0: multiply by dy.", {GATED: "return (y > 0).astype(y.dtype)"}, "Step 2"),
        Twin("dx is the slope alone, and only True or False: multiply by dy.", {GATED: "return y > 0"}, "Step 2"),
        Twin(
            "dy is written to, and may be the cotangent of another array as well: make a new one.",
            {GATED: "dy[y == 0] = 0\n        return dy"},
            "Step 5",
        ),
    ),
)
