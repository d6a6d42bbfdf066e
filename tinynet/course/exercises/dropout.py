"""Dropout: chance in the forward pass, and none in the backward pass."""

import numpy as np

from tinynet import backend
from tinynet.course.exercise import Twin
from tinynet.course.python import Hand, Simpler, layer


def draw(rng, sizes):
    return {"x": rng.standard_normal((sizes["N"], sizes["C"]))}


def call(module, a, sizes):
    backend.manual_seed(sizes["seed"])
    return module.dropout(a["x"], sizes["p"], mask=module.MaskSlice(columns=sizes["C"] + sizes["more"]))


MASK = "y = x * (kernels.uniforms(x.shape, key, *where) >= self.p)"
SCALE = "y *= 1 / (1 - self.p) if self.p < 1 else 0"
BACK = "return self.masked(dy)"

DROPOUT = layer(
    call,
    name="dropout",
    week=8,
    minutes=30,
    file="ops/dropout.py",
    page="docs/dropout.md",
    section="Backward, step by step",
    holes=("Dropout.forward", "Dropout.backward", "Dropout.masked"),
    hide={"    dx = dy * m": "    dx = ..."},
    given={
        "Dropout.masked": [
            "key, columns, *first = self.mask",
            "length = math.prod(x.shape[1:])",
            "where = length, length if columns is None else columns, *first",
            "u = kernels.uniforms(x.shape, key, *where)  # as random as can be, and the same for the same key",
            "# An element is dropped where u < p.",
        ]
    },
    sizes=dict(N=6, C=7, p=0.3, seed=1, more=0),
    smallest=dict(N=1, C=1, more=0),
    others={
        "p=0.5": dict(p=0.5),
        "p=1": dict(p=1.0),
        "one row": dict(N=1),
        "no rows": dict(N=0),
        "a part": dict(more=3),
    },
    draw=draw,
    axes={"y": "NC", "dx": "NC"},
    simpler=(
        Simpler("p=0.5", dict(p=0.5), "At 0.5, p and 1 - p are the same: which of them is the probability of keeping?"),
        Simpler("p=0.3", dict(p=0.3), "At p = 1 nothing is kept: y is 0, and 1 / (1 - p) would be a division by 0."),
        Simpler("a whole row", dict(more=0), "self.mask says where the row lies in a larger activation."),
    ),
    hand=Hand(
        {"x": np.array([[1.0, 2, 3, 4]]), "dy": np.array([[1.0, 10, 100, 1000]])},
        {"y": [[2, 0, 0, 8]], "dx": [[2, 0, 0, 2000]]},
        dict(C=4, p=0.5, seed=13),
    ),
    twins=(
        Twin(
            "what is kept is not scaled up by 1 / (1 - p): the next layer sees too little on average.",
            {SCALE: "pass"},
            "## The formula",
        ),
        Twin(
            "what is kept is multiplied by 1 - p, and should be divided by it.",
            {SCALE: "y *= 1 - self.p"},
            "## Two ways to scale",
        ),
        Twin(
            "what is kept is divided by p, the probability of dropping.", {SCALE: "y /= self.p"}, "## Two ways to scale"
        ),
        Twin(
            "p is taken for the probability of keeping.",
            {MASK: MASK.replace(">=", "<"), SCALE: "y /= self.p"},
            "## Two ways to scale",
        ),
        Twin(
            "the mask is inverted: what should be dropped is kept.", {MASK: MASK.replace(">=", "<")}, "## The formula"
        ),
        Twin(
            "1 / (1 - p) is a division by 0 at p = 1.",
            {SCALE: "y *= np.float64(1) / (1 - self.p)", "import math\n": "import math\n\nimport numpy as np\n"},
            "## The formula",
        ),
        Twin(
            "all rows have the same mask: each image needs its own.",
            {MASK: MASK.replace("x.shape,", "(1, *x.shape[1:]),")},
            "## Common mistakes",
        ),
        Twin("dx is dy: where an element was dropped no gradient comes back.", {BACK: "return dy"}, "Step 2"),
        Twin("dx is masked, but not scaled.", {BACK: "return self.masked(dy) * (1 - self.p)"}, "Step 2"),
        Twin("dx is scaled, but not masked.", {BACK: "return dy / (1 - self.p)"}, "Step 2"),
        Twin(
            "backward draws a new mask: it has to be the one of the forward pass.",
            {BACK: "self.mask = self.mask._replace(key=draw_key())\n        return self.masked(dy)"},
            "Step 1",
        ),
    ),
)
