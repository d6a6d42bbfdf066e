"""all_gather's backward pass: the transpose of a collective is a collective."""

import numpy as np

from tinynet.course.exercise import Twin
from tinynet.course.python import Hand, Simpler, layer


def draw(rng, sizes):
    """Pieces of different lengths."""
    shape = [sizes["N"], sizes["C"], sizes["H"]]
    arrays = {}
    for d in range(sizes["devices"]):
        piece = list(shape)
        piece[sizes["axis"]] += d * sizes["wider"]
        arrays[f"x{d}"] = rng.standard_normal(piece)
    return arrays


def call(module, a, sizes):
    return module.all_gather([a[f"x{d}"] for d in range(len(a))], sizes["axis"])


SUM = "sum_on([piece(dy, where) for dy in dys], home)"
RETURN = f"""tuple(
            {SUM}
            for where, home in zip(self.slices, self.homes, strict=True)
        )"""

ALL_GATHER = layer(
    call,
    parts=("backward",),
    name="all_gather",
    week=10,
    minutes=30,
    file="parallel/collectives.py",
    page="docs/two_devices.md",
    section="Collectives, and their transposes",
    holes=("AllGather.backward",),
    hide={
        "reduce-scatter:  dx_i = sum over d of (part i of dy_d)": "...",
        """\
The sum in all_gather's line is what two columns of AlexNet exchange in the backward pass of conv3: device 0 used
both halves of the channels, so it holds a part of the gradient of device 1's half.
""": "",
        " Backward (a reduce-scatter) returns to each\n    device the sum of all devices' cotangents for its piece.": (
            ""
        ),
    },
    given={
        "AllGather.backward": [
            "# dys: one cotangent per device, each of the whole. self.slices: where each device's piece lies in it;",
            "# self.homes: the devices. piece(dy, where) cuts a piece out; sum_on(arrays, device) adds arrays there.",
        ]
    },
    sizes=dict(N=2, C=3, H=2, devices=3, axis=1, wider=1),
    smallest=dict(N=1, C=1, H=1, devices=1, wider=0),
    others={"one device": dict(devices=1), "axis=0": dict(axis=0), "pieces of one length": dict(wider=0)},
    draw=draw,
    axes={f"dx{d}": "NCH" for d in range(3)},
    simpler=(
        Simpler("one device", dict(devices=1), "Every device used every piece: add up what all of them send back."),
        Simpler("pieces of one length", dict(wider=0), "self.slices says where each piece lies."),
        Simpler("axis=1", dict(axis=1), "The axis is self.axis; self.slices has it already."),
    ),
    hand=Hand(
        {
            "x0": np.array([[[1.0], [2]]]),
            "x1": np.array([[[3.0]]]),
            "dy0": np.array([[[1.0], [1], [1]]]),
            "dy1": np.array([[[10.0], [20], [30]]]),
        },
        {"dx0": [[[11], [21]]], "dx1": [[[31]]]},
    ),
    twins=(
        Twin(
            "each device keeps the piece of its own cotangent: the others used its piece, too, so all their "
            "cotangents for it are added.",
            {RETURN: "tuple(piece(dy, where) for dy, where in zip(dys, self.slices, strict=True))"},
            "## Common mistakes",
        ),
        Twin("only device 0's cotangent is split: add up those of all devices first.", {SUM: "piece(dys[0], where)"}),
        Twin(
            "the cotangents of the devices are averaged: copying forward is adding backward.",
            {SUM: f"{SUM} / len(dys)"},
        ),
        Twin("the sum is not split: each device gets its own piece of it.", {SUM: "sum_on(dys, home)"}),
        Twin(
            "the device's own cotangent is left out of the sum.",
            {
                RETURN: "tuple(sum(piece(dy, w) for j, dy in enumerate(dys) if j != i or len(dys) == 1) "
                "for i, w in enumerate(self.slices))"
            },
        ),
        Twin(
            "the pieces come in the wrong order.",
            {
                RETURN: RETURN.replace("self.slices", "self.slices[::-1]"),
            },
        ),
    ),
)
