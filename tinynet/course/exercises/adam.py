"""Adam: steps of about the same size for every weight."""

import numpy as np

from tinynet.course.exercise import Twin
from tinynet.course.exercises.optimizers import draw, three_steps
from tinynet.course.python import Hand, PythonExercise, Simpler


def make(module, parameters, sizes):
    betas = sizes["b1"], sizes["b2"]
    return module.Adam(parameters, sizes["lr"], betas, sizes["eps"], sizes["weight_decay"])


def loops(arrays, sizes):
    w, b1, b2 = arrays["w"].tolist(), sizes["b1"], sizes["b2"]
    mean, square, results = [0.0] * len(w), [0.0] * len(w), {}
    for t in (1, 2, 3):
        lr = sizes["lr"] / (2 if t == 3 else 1)
        before = np.array(w)
        for i, g in enumerate(arrays[f"g{t}"].tolist()):
            g += sizes["weight_decay"] * w[i]
            mean[i] = b1 * mean[i] + (1 - b1) * g
            square[i] = b2 * square[i] + (1 - b2) * g**2
            w[i] -= lr * (mean[i] / (1 - b1**t)) / ((square[i] / (1 - b2**t)) ** 0.5 + sizes["eps"])
        results[f"w's change in step {t}"] = np.array(w) - before
    return results


RATE, ROOT, COUNT = 'rate = lr / (1 - b1 ** state["t"])', 'root = math.sqrt(1 - b2 ** state["t"])', 'state["t"] += 1'
DECAY, MEAN = "            if wd:\n                g = g + wd * w\n", "mean += (1 - b1) * g"
SQUARE = "square += (1 - b2) * (g * g)"
STEP = "step = xp.sqrt(square)\n            step /= root\n            step += eps\n"
LAST = "w -= rate * mean / step"

ADAM = PythonExercise(
    parts=("update",),
    run=three_steps(make),
    name="adam",
    week=5,
    minutes=30,
    file="optim/adam.py",
    page="tinynet/optim/adam.py",
    section="Adam",
    holes=("Adam.update",),
    given={
        "Adam.update": [
            'lr, eps, wd, (b1, b2) = (group[k] for k in ("lr", "eps", "weight_decay", "betas"))',
            "w, g = parameter.data, parameter.grad  # arrays; w is to be changed in place, g is not",
            "# state: a dict for this parameter, empty at first. Keep t, mean and square there.",
        ]
    },
    sizes=dict(C=4, lr=0.05, b1=0.8, b2=0.9, eps=0.1, weight_decay=0.3),
    smallest=dict(C=1, weight_decay=0.0),
    others={"no weight decay": dict(weight_decay=0.0), "eps=0": dict(eps=0.0), "one weight": dict(C=1)},
    draw=draw,
    loops=loops,
    simpler=(
        Simpler("weight_decay=0", dict(weight_decay=0.0), "Weight decay adds wd * w to g, before anything else."),
        Simpler("eps=0", dict(eps=0.0), "eps is added to the root of the corrected mean square."),
    ),
    hand=Hand(
        {name: np.array([a]) for name, a in dict(w=1.0, g1=2.0, g2=2.0, g3=-2.0).items()},
        {"w's change in step 1": [-0.1], "w's change in step 2": [-0.1], "w's change in step 3": [1 / 140]},
        dict(lr=0.1, b1=0.5, b2=0.5, eps=0.0, weight_decay=0.0),
    ),
    twins=(
        Twin("both means start at 0 and are not corrected for it.", {RATE: "rate = lr", ROOT: "root = 1"}),
        Twin("the mean of g is not corrected for its start at 0.", {RATE: "rate = lr"}),
        Twin("the mean of g^2 is not corrected for its start at 0.", {ROOT: "root = 1"}),
        Twin(
            "t stays 0 while it is used: count the step first.",
            {COUNT: "pass", LAST: LAST + '\n            state["t"] += 1'},
        ),
        Twin(
            "the corrected means are kept for the next step: correct a copy, and keep the means as they are.",
            {
                LAST: 'mean /= 1 - b1 ** state["t"]\n            square /= 1 - b2 ** state["t"]\n'
                "            w -= lr * mean / (xp.sqrt(square) + eps)"
            },
        ),
        Twin("t stays 1: count every step.", {COUNT: 'state["t"] = 1'}),
        Twin("eps is inside the root; it is added outside.", {STEP: "step = xp.sqrt(square / root**2 + eps)\n"}),
        Twin("eps is added before the mean of g^2 is corrected.", {STEP: "step = (xp.sqrt(square) + eps) / root\n"}),
        Twin("eps is left out.", {"            step += eps\n": ""}),
        Twin("the mean of g^2 holds g, not its square.", {SQUARE: "square += (1 - b2) * abs(g)"}),
        Twin(
            "the root is missing: the step is divided by the mean square itself.",
            {STEP: "step = square / root**2\n            step += eps\n"},
        ),
        Twin("1 - b1 is missing: the mean of g is too large.", {MEAN: "mean += g"}),
        Twin("1 - b2 is missing: the mean of g^2 is too large.", {SQUARE: "square += g * g"}),
        Twin("b1 and b2 are exchanged.", {"(b1, b2) = (": "(b2, b1) = ("}),
        Twin("the step goes up the slope.", {LAST: "w += rate * mean / step"}),
        Twin("the step is g / sqrt(...): the mean of g is not used (that is RMSprop).", {LAST: "w -= lr * g / step"}),
        Twin("weight decay is left out.", {DECAY: ""}),
        Twin(
            "weight decay bypasses both means: that is AdamW's way.",
            {DECAY: "            w_before = w.copy()\n", LAST: LAST + "\n            w -= lr * wd * w_before"},
        ),
        Twin(
            "the gradient is changed: g += ... writes into parameter.grad.", {DECAY: DECAY.replace("g = g +", "g +=")}
        ),
        Twin(
            "w is not changed in place: parameter.data has to stay the same array.",
            {
                "xp = array_module(parameter.data)": (
                    "xp = array_module(parameter.data)\n        parameter.data = parameter.data.copy()"
                )
            },
        ),
    ),
)
