"""Cross-entropy of softmax: what was said, minus what is true."""

import math

import numpy as np

from tinynet.course.exercise import Twin
from tinynet.course.python import Hand, Simpler, layer


def draw(rng, sizes):
    N, C = sizes["N"], sizes["C"]
    target = rng.integers(0, C, N)
    target[: sizes["ignored"]] = -100
    return {"x": sizes["scale"] * rng.standard_normal((N, C)), "target": target}


def call(module, a, sizes):
    x = a["x"]
    weight = np.linspace(0.5, 2, x.shape[1], dtype=x.dtype) if sizes["weights"] else None
    how = dict(weight=weight, reduction=sizes["reduction"], label_smoothing=sizes["smoothing"])
    return module.cross_entropy(x, a["target"], **how)


def loops(arrays, sizes):
    losses = []
    for row, t in zip(arrays["x"].tolist(), arrays["target"].tolist(), strict=True):
        losses.append(math.log(sum(math.exp(x) for x in row)) - row[t])
    return {"y": np.array(sum(losses) / len(losses))}


P = "dx = probabilities(self.without_ignored(x), axis=1)"
SUM_OF_Q = "total = q_true if q_smooth is None else q_true + pairwise_sum(q_smooth, (1,))"
TOTAL = "dx *= (total * dl)[:, None]"
MINUS_Q = "dx[self.positions.at] -= q_true * dl"
LOG_P = "log_p = log_probabilities(self.without_ignored(x), axis=1)"
LOSSES = "losses = -q_true * self.positions.pick(log_p)"

CROSS_ENTROPY = layer(
    call,
    name="cross_entropy",
    week=4,
    minutes=60,
    file="ops/cross_entropy.py",
    page="docs/softmax_cross_entropy.md",
    section="Cross-entropy, backward",
    holes=("CrossEntropy.losses", "CrossEntropy.slopes"),
    removed=("CrossEntropyWithProbabilities",),
    hide={
        "    dL/dx_c = p_c - [c = t]": "    dL/dx_c = ...",
        '"What the model said, minus what is true." It lies': "This slope lies",
        "    dL/dx_c = p_c * (sum_j q_j) - q_c, ": "    dL/dx_c = ..., ",
        "which is the same subtraction: q_c = [c = t] sums to 1 and gives p_c - [c = t] again.": (
            "of which q_c = [c = t] is a special case."
        ),
        "    return CrossEntropyWithProbabilities(weight, reduction, label_smoothing)(input, target)": (
            '    raise TypeError("this exercise is about classes as targets")'
        ),
    },
    given={
        "CrossEntropy.losses": [
            "q_true, q_smooth = self.target_distribution(x.dtype)  # (N, D), and (N, C, D) or None without smoothing",
            "# self.positions.pick(a) is a (N, C, D) at the true classes: (N, D)",
        ],
        "CrossEntropy.slopes": [
            "q_true, q_smooth = self.target_distribution(x.dtype)  # (N, D), and (N, C, D) or None without smoothing",
            "# dl: the cotangent of each loss, 1 / N for a mean. self.positions.at: true classes, to index (N, C, D)",
        ],
    },
    sizes=dict(N=4, C=5, scale=1, smoothing=0.0, weights=0, ignored=0, reduction="mean"),
    smallest=dict(N=1, C=1, scale=1, smoothing=0.0, weights=0, ignored=0),
    others={
        "one image": dict(N=1),
        "one loss per image": dict(reduction="none"),
        "the sum": dict(reduction="sum"),
        "scores in the thousands": dict(scale=5000),
        "label smoothing": dict(smoothing=0.2),
        "class weights": dict(weights=1),
        "an ignored target": dict(ignored=1),
        "all of these": dict(smoothing=0.2, weights=1, ignored=1, reduction="none"),
    },
    draw=draw,
    loops=loops,
    axes={"dx": "NC"},
    simpler=(
        Simpler("the sum of the losses", dict(reduction="sum"), "dl is each loss's cotangent, or one number for all."),
        Simpler("one image", dict(N=1), "For a batch the mean divides by N: dl is 1 / N."),
        Simpler("scores near 0", dict(scale=1), "Take the logarithm of softmax in one step: log_probabilities does."),
        Simpler("no label smoothing", dict(smoothing=0.0), "q_smooth is the smoothing's part of q."),
        Simpler("all classes of one weight", dict(weights=0), "q_true holds the weights, and q need not sum to 1."),
        Simpler("no ignored target", dict(ignored=0), "q_true is 0 where a target is ignored."),
    ),
    hand=Hand(
        {"x": np.log([[1.0, 2, 5]]), "target": np.array([1])},
        {"y": math.log(4)},
    ),
    twins=(
        Twin("the loss is -log p, and its sign is lost.", {LOSSES: LOSSES.replace("-q", "q")}, "## The formulas"),
        Twin(
            "softmax first and the logarithm after it: p can round to 0. log_probabilities does both in one step.",
            {LOG_P: "log_p = np.log(probabilities(self.without_ignored(x), axis=1))"},
            "## Why one step is better than two",
        ),
        Twin(
            "the loss is -p of the true class; its logarithm is missing.",
            {
                LOG_P: LOG_P.replace("log_p", "probabilities", 2)
                .replace("probabilities =", "log_p =")
                .replace("probabilitiesrobabilities", "probabilities")
            },
            "## The formulas",
        ),
        Twin(
            "the loss is minus the score of the true class; log S is missing.",
            {LOG_P: "log_p = self.without_ignored(x)"},
            "Step 1",
        ),
        Twin(
            "softmax runs over the images, not over the classes.",
            {LOG_P: LOG_P.replace("axis=1", "axis=0")},
            "## The formulas",
        ),
        Twin(
            "label smoothing is left out of the loss.",
            {"losses -= pairwise_sum(q_smooth * log_p, (1,))": "pass"},
            "## Check yourself",
        ),
        Twin(
            "1/N is missing: the mean's dl multiplies everything.",
            {
                TOTAL: "dx *= total[:, None]",
                MINUS_Q: MINUS_Q.replace(" * dl", ""),
                "q_smooth * (dl[:, None] if dl.ndim else dl)": "q_smooth",
            },
            "Step 2",
        ),
        Twin(
            "p is multiplied by dl, but what is subtracted from it is not.",
            {MINUS_Q: MINUS_Q.replace(" * dl", "")},
            "Step 2",
        ),
        Twin("- [c = t] is missing: the slope of -x_t.", {MINUS_Q: "pass"}, "Step 1"),
        Twin("the slope of log S is missing: only the true class gets a gradient.", {TOTAL: "dx *= 0"}, "Step 2"),
        Twin(
            "p - [c = t], with p the scores: softmax is missing.", {P: "dx = self.without_ignored(x).copy()"}, "Step 2"
        ),
        Twin("p is e^x, not divided by its sum.", {P: "dx = np.exp(self.without_ignored(x))"}, "Step 2"),
        Twin(
            "the sign is wrong: [c = t] - p in place of p - [c = t].",
            {
                TOTAL: "dx *= -(total * dl)[:, None]",
                MINUS_Q: MINUS_Q.replace("-=", "+="),
                "dx -= q_smooth": "dx += q_smooth",
            },
            "Step 2",
        ),
        Twin(
            "1 is subtracted from every class, not from the true one only.",
            {MINUS_Q: "dx -= (q_true * dl)[:, None]"},
            "Step 1",
        ),
        Twin("softmax runs over the images, not over the classes.", {P: P.replace("axis=1", "axis=0")}, "Step 2"),
        Twin(
            "label smoothing is left out of the gradient.",
            {
                "dx -= q_smooth * (dl[:, None] if dl.ndim else dl)": "pass",
                SUM_OF_Q: "total = q_true",
            },
            "## Check yourself",
        ),
        Twin(
            "p is multiplied by 1, not by the sum of q: with class weights q does not sum to 1.",
            {SUM_OF_Q: "total = np.ones_like(q_true)"},
            "## Check yourself",
        ),
    ),
)
