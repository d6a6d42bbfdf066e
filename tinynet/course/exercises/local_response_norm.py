"""Local response normalization: two paths, of which the second is easily lost."""

import numpy as np

from tinynet.course.exercise import Twin
from tinynet.course.python import Hand, Simpler, layer


def draw(rng, sizes):
    return {"x": rng.standard_normal(tuple(sizes[name] for name in "NCHW"))}


def call(module, a, sizes):
    return module.local_response_norm(a["x"], *(sizes[name] for name in ("size", "alpha", "beta", "k", "groups")))


def loops(arrays, sizes):
    x, y = arrays["x"], np.zeros(arrays["x"].shape)
    for n, i, h, w in np.ndindex(x.shape):
        window = [j for j in range(x.shape[1]) if abs(j - i) <= sizes["size"] // 2]
        s = sizes["k"] + sizes["alpha"] / sizes["size"] * sum(x[n, j, h, w] ** 2 for j in window)
        y[n, i, h, w] = x[n, i, h, w] * s ** -sizes["beta"]
    return {"y": y}


Y = "return x * power(self.energy(x), -self.beta)"
SUM = "through_s = window_sum(direct * x / s, self.size)"
X, FACTOR = "        through_s *= x\n", "through_s *= 2 * self.alpha / self.size * self.beta"
DX = "return direct - through_s"
ENERGY = "s = window_sum(x * x, self.size)"
LOOP = "for step in range(1, min(size // 2, a.shape[1] - 1) + 1):"
BOTH = "        out[:, step:] += a[:, :-step]\n        out[:, :-step] += a[:, step:]\n"

LOCAL_RESPONSE_NORM = layer(
    call,
    name="local_response_norm",
    week=7,
    minutes=75,
    file="ops/local_response_norm.py",
    page="docs/local_response_norm.md",
    section="Backward, step by step",
    holes=(
        "LocalResponseNorm.normalize",
        "LocalResponseNorm.normalize_backward",
        "LocalResponseNorm.energy",
        "window_sum",
    ),
    hide={
        """
    dx_i = dy_i * s_i^(-beta)
           - 2 * alpha / size * beta * x_i * sum_{j : i in W(j)} dy_j * x_j * s_j^(-beta - 1)
""": "\n    dx_i = ...\n",
    },
    sizes=dict(N=2, C=8, H=2, W=3, size=5, alpha=0.45, beta=0.6, k=1.6, groups=1),
    smallest=dict(N=1, C=1, H=1, W=1, size=1, groups=1),
    others={
        "size=1": dict(size=1),
        "a window wider than the channels": dict(C=2, size=7),
        "beta=0.75": dict(beta=0.75),
        "beta=1": dict(beta=1.0),
        "groups=2": dict(groups=2),
        "one image": dict(N=1),
        "no images": dict(N=0),
    },
    draw=draw,
    loops=loops,
    axes={"y": "NCHW", "dx": "NCHW"},
    simpler=(
        Simpler("one channel", dict(C=1, groups=1), "What is wrong lies in the sum over neighbors."),
        Simpler("size=1", dict(size=1), "What is wrong lies in the sum over neighbors."),
        Simpler("beta=1", dict(beta=1.0), "Look at the powers of s, and at the factor beta."),
        Simpler("k=1", dict(k=1.0), "Look at where k enters: into s, once."),
        Simpler("one image", dict(N=1), "Images have nothing to do with each other."),
    ),
    hand=Hand(
        {"x": np.array([1.0, 2, -1]).reshape(1, 3, 1, 1), "dy": np.array([0.0, 1, 0]).reshape(1, 3, 1, 1)},
        {
            "y": np.array([1 / 9, 0.2, -1 / 9]).reshape(1, 3, 1, 1),
            "dx": np.array([-0.04, 0.02, 0.04]).reshape(1, 3, 1, 1),
        },
        dict(size=3, alpha=3.0, beta=1.0, k=4.0),
    ),
    twins=(
        Twin(
            "y is multiplied by s^beta, and should be divided by it.", {Y: Y.replace("-self", "self")}, "## The formula"
        ),
        Twin(
            "y is divided by s itself: the power beta is missing.", {Y: "return x / self.energy(x)"}, "## The formula"
        ),
        Twin("alpha is not divided by size.", {"s *= self.alpha / self.size": "s *= self.alpha"}, "## The formula"),
        Twin("k is missing in s.", {"        s += self.k\n": ""}, "## The formula"),
        Twin("s adds x, not its square.", {ENERGY: "s = window_sum(x, self.size)"}, "## The formula"),
        Twin(
            "s holds the channel's own energy only: its neighbors are missing.", {ENERGY: "s = x * x"}, "## The formula"
        ),
        Twin(
            "the window is one too wide on each side: |i - j| <= size // 2.",
            {LOOP: LOOP.replace("size // 2", "size // 2 + 1")},
            "## The formula",
        ),
        Twin(
            "the window is one too narrow on each side: |i - j| <= size // 2.",
            {LOOP: LOOP.replace("size // 2", "size // 2 - 1")},
            "## The formula",
        ),
        Twin(
            "the window reaches `size` channels to each side: it has size channels in all.",
            {LOOP: LOOP.replace("size // 2", "size")},
            "## The formula",
        ),
        Twin(
            "the window wraps around: channel 0 has no left neighbor.",
            {
                LOOP: "for step in range(1, size // 2 + 1):",
                BOTH: "        out += np.roll(a, step, 1)\n        out += np.roll(a, -step, 1)\n",
            },
            "## Common mistakes",
        ),
        Twin(
            "the window reaches to one side only.", {BOTH: "        out[:, step:] += a[:, :-step]\n"}, "## The formula"
        ),
        Twin(
            "the second path is missing: x_i also changes every s_j whose window contains i.",
            {DX: "return direct"},
            "Step 1",
        ),
        Twin("the direct path is missing.", {DX: "return -through_s"}, "Step 2"),
        Twin(
            "the second path is added; the neighbors damp, so it is subtracted.",
            {DX: "return direct + through_s"},
            "Step 3",
        ),
        Twin(
            "the sum over neighbors is missing in backward: it has the term j = i only.",
            {SUM: "through_s = direct * x / s"},
            "Step 5",
        ),
        Twin("one power of s is missing: s^(-beta - 1) in the second path.", {SUM: SUM.replace(" / s", "")}, "Step 3"),
        Twin(
            "the power of s in the second path is -beta + 1: the slope of s^(-beta) has one power less, -beta - 1.",
            {SUM: SUM.replace(" / s", " * s")},
            "Step 3",
        ),
        Twin(
            "the second path has s^(-1) for s^(-beta - 1).",
            {SUM: SUM.replace("direct * x / s", "dy * x / s")},
            "Step 3",
        ),
        Twin(
            "dy_j is missing inside the sum.",
            {SUM: SUM.replace("direct", "power(s, -self.beta)")},
            "Step 3",
        ),
        Twin(
            "the window ends one channel too early: a slice stops before its end, i + size // 2 + 1.",
            {BOTH: BOTH.replace("        out[:, :-step]", "        if step < size // 2:\n            out[:, :-step]")},
            "## The formula",
        ),
        Twin("x_j is missing inside the sum.", {SUM: SUM.replace("direct * x / s", "direct / s")}, "Step 3"),
        Twin("x_i is missing before the sum.", {X: ""}, "Step 4"),
        Twin(
            "x_i is inside the sum: the sum is over x_j, and x_i stands before it.",
            {X: "", SUM: SUM.replace("direct * x", "direct * x * x")},
            "Step 5",
        ),
        Twin("the factor 2 of the square's slope is missing.", {FACTOR: FACTOR.replace("2 * ", "")}, "Step 4"),
        Twin("the factor beta is missing.", {FACTOR: FACTOR.replace(" * self.beta", "")}, "Step 3"),
        Twin(
            "alpha is not divided by size in the second path.", {FACTOR: FACTOR.replace(" / self.size", "")}, "Step 4"
        ),
    ),
)
