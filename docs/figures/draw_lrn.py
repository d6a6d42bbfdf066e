"""Who damps whom: LRN's band matrix, on one device and in two groups. For local_response_norm.md."""

import numpy as np
from matplotlib.patches import Rectangle

import tinynet
from drawing import FORWARD, LINE, MUTED, SMALL, canvas, frame, write
from tinynet import functional as F

C = 12


def damped_by(groups):
    """(C, C): whether output i has another slope in input j than without neighbors, measured by tinynet."""
    band = np.zeros((C, C), bool)
    for i in range(C):
        x = tinynet.tensor(np.arange(1.0, C + 1).reshape(1, C, 1, 1), requires_grad=True)
        F.local_response_norm(x, size=5, alpha=1.0, groups=groups)[0, i].sum().backward()
        band[i] = x.grad.ravel() != 0
    return band


def lrn_band():
    figure, axes = canvas(60)
    for left, groups, title in ((9, 1, "groups = 1"), (57, 2, "groups = 2")):
        band, cell = damped_by(groups), 3.2
        write(axes, left + C * cell / 2, 4, title)
        for i, j in np.ndindex(C, C):
            fill = FORWARD if i == j else "#8fc1df" if band[i, j] else "white"
            axes.add_patch(Rectangle((left + j * cell, 8 + i * cell), cell, cell, fc=fill, ec=LINE, lw=0.6))
        frame(axes, left, 8 + 4 * cell, C * cell, cell, "#222222", 1.6)
        for name, i in ((0, 0), (4, 4), (C - 1, C - 1)):
            write(axes, left - 1, 8 + (i + 0.5) * cell, name, MUTED, SMALL, ha="right")
            write(axes, left + (i + 0.5) * cell, 8 + C * cell + 2, name, MUTED, SMALL)
    write(axes, 50, 54, "row i: the channels j that damp channel i", MUTED)
    return figure


FIGURES = {"lrn-band": lrn_band}
