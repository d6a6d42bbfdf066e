"""Stochastic gradient descent with momentum."""

import numpy as np

from tinynet.course.exercise import Twin
from tinynet.course.exercises.optimizers import draw, three_steps
from tinynet.course.python import Hand, PythonExercise, Simpler


def make(module, parameters, sizes):
    return module.SGD(
        parameters, *(sizes[name] for name in ("lr", "momentum", "dampening", "weight_decay", "nesterov"))
    )


def loops(arrays, sizes):
    w, g1, g2, g3 = (arrays[name].tolist() for name in ("w", "g1", "g2", "g3"))
    results = {}
    v = [0.0] * len(w)
    for step, (g, lr) in enumerate([(g1, sizes["lr"]), (g2, sizes["lr"]), (g3, sizes["lr"] / 2)], 1):
        before = np.array(w)
        for i in range(len(w)):
            v[i] = sizes["momentum"] * v[i] + g[i] + sizes["weight_decay"] * w[i]
            w[i] -= lr * v[i]
        results[f"w's change in step {step}"] = np.array(w) - before
    return results


DECAY = "            if wd:\n                g = g + wd * w\n            v *= m"
MOMENTUM = "            v *= m\n            v += (1 - dampening) * g if dampening else g"
STEP = "w -= lr * (g + m * v if nesterov else v)"
NEW = 'if m and "velocity" not in state:'
VELOCITY = f"{MOMENTUM}\n            {STEP}"

SGD = PythonExercise(
    parts=("update",),
    run=three_steps(make),
    name="sgd",
    week=5,
    minutes=30,
    file="optim/sgd.py",
    page="tinynet/optim/sgd.py",
    section="Stochastic gradient descent with momentum",
    holes=("SGD.update",),
    removed=("PaperSGD",),
    given={
        "SGD.update": [
            'lr, m, wd, nesterov = (group[k] for k in ("lr", "momentum", "weight_decay", "nesterov"))',
            'dampening = group["dampening"] if "velocity" in state else 0  # the very first v is not dampened',
            "w, g = parameter.data, parameter.grad  # arrays; w is to be changed in place, g is not",
            '# state: a dict for this parameter, empty at first. Keep v in state["velocity"].',
        ]
    },
    sizes=dict(C=4, lr=0.1, momentum=0.9, dampening=0.0, weight_decay=0.3, nesterov=False),
    smallest=dict(C=1, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False),
    others={
        "no weight decay": dict(weight_decay=0.0),
        "no momentum": dict(momentum=0.0),
        "neither": dict(momentum=0.0, weight_decay=0.0),
        "dampening": dict(dampening=0.4),
        "nesterov": dict(nesterov=True),
    },
    draw=draw,
    loops=loops,
    simpler=(
        Simpler("momentum=0", dict(momentum=0.0), "Look at v: what it becomes, and where it is kept."),
        Simpler("weight_decay=0", dict(weight_decay=0.0), "Weight decay adds wd * w to g, before anything else."),
        Simpler("dampening=0", dict(dampening=0.0), "1 - dampening multiplies g + wd * w, but not the first time."),
        Simpler("nesterov=False", dict(nesterov=False), "With nesterov the step is lr * (g + wd * w + m * v)."),
    ),
    hand=Hand(
        {name: np.array([a]) for name, a in dict(w=1.0, g1=1.0, g2=2.0, g3=0.0).items()},
        {"w's change in step 1": [-0.1], "w's change in step 2": [-0.29], "w's change in step 3": [-0.1305]},
        dict(lr=0.1, momentum=0.9, weight_decay=0.0),
    ),
    twins=(
        Twin("momentum is left out: v is not used.", {STEP: "w -= lr * g"}),
        Twin(
            "v does not live from one step to the next: keep it in state, and add g to m * v instead of replacing it.",
            {NEW: "if m:"},
        ),
        Twin("v goes up the slope: w <- w - lr * v.", {STEP: "w += lr * (g + m * v if nesterov else v)"}),
        Twin(
            "v is a running mean, m * v + (1 - m) * g: that is Adam's; here g has factor 1.",
            {MOMENTUM: MOMENTUM.replace("else g", "else (1 - m) * g")},
        ),
        Twin(
            "v <- v + g: m does not multiply the old v, which never fades.",
            {MOMENTUM: MOMENTUM.replace("v *= m", "pass")},
        ),
        Twin(
            "m multiplies g, too: only the old v fades.",
            {
                MOMENTUM: MOMENTUM.replace("v *= m\n", "v += g\n").replace(
                    "v += (1 - dampening) * g if dampening else g", "v *= m"
                )
            },
        ),
        Twin("weight decay is left out.", {DECAY: "            v *= m", "(g + wd * w if wd else g)": "g"}),
        Twin(
            "weight decay has the wrong sign: it pulls w to 0.",
            {DECAY: DECAY.replace("g + wd", "g - wd"), "(g + wd * w if wd else g)": "(g - wd * w)"},
        ),
        Twin(
            "weight decay bypasses v (that is AdamW's way): here it is a part of the gradient.",
            {
                DECAY: "            w_before = w.copy()\n            v *= m",
                STEP: f"{STEP}\n            w -= lr * wd * w_before",
            },
        ),
        Twin(
            "lr is inside v: that is PaperSGD's form, and differs once lr changes.",
            {MOMENTUM: MOMENTUM.replace("else g", "else lr * g"), STEP: "w -= v"},
        ),
        Twin(
            "the old v is used for the step: first v, then w.",
            {VELOCITY: f"            old = v.copy()\n{MOMENTUM}\n            w -= lr * old"},
        ),
        Twin("dampening is left out.", {"v += (1 - dampening) * g if dampening else g": "v += g"}),
        Twin("the first v is dampened, too.", {' if "velocity" in state else 0': ""}),
        Twin("nesterov is left out.", {STEP: "w -= lr * v"}),
        Twin(
            "w is not changed in place: parameter.data has to stay the same array.",
            {NEW: f"parameter.data = parameter.data.copy()\n        {NEW}"},
        ),
        Twin(
            "the gradient is changed: g += ... writes into parameter.grad.",
            {DECAY: DECAY.replace("g = g + wd", "g += wd"), "(g + wd * w if wd else g)": "np.add(g, wd * w, out=g)"},
        ),
    ),
)
