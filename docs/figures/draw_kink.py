"""What central differences measure at a bend, for relu.md."""

import numpy as np

import tinynet
from drawing import BACKWARD, FORWARD, INK, MUTED, NORMAL, THIRD, number, plots
from tinynet import functional as F


def relu(x):
    return F.relu(tinynet.tensor(np.asarray(x, float))).numpy()


def kink():
    """ReLU near 0, at x = 0.1 and moved by 1 to each side: the page's example, a million times as large."""
    x, step = 0.1, 1.0
    left, here, right = relu([x - step, x, x + step])
    slopes = (here - left) / step, (right - left) / (2 * step), (right - here) / step
    figure, (axes,) = plots(2.9)
    around = np.linspace(-1.25, 1.35, 600)
    axes.plot(around, relu(around), color=INK, lw=1.4)
    both = [x - step, x + step]
    axes.plot([x - step, x], [left, here], color=BACKWARD, lw=2.4, ls=(0, (1, 1)))
    axes.plot([x, x + step], [here, right], color=FORWARD, lw=2.4, ls=(0, (5, 2)))
    axes.plot(both, [left, right], color=THIRD, lw=1.8)
    axes.plot([x - step, x, x + step], [left, here, right], "o", color=INK, ms=5)
    at = dict(fontsize=NORMAL, va="center")
    axes.text(-0.55, -0.13, f"to the left: slope {number(slopes[0])}", color=BACKWARD, ha="center", **at)
    axes.text(-0.62, 0.52, f"the mean of both:\nslope {number(slopes[1])}", color=THIRD, ha="center", **at)
    axes.text(0.72, 0.3, f"to the right:\nslope {number(slopes[2])}", color=FORWARD, ha="left", **at)
    axes.set(xlim=(-1.25, 1.4), ylim=(-0.25, 1.25), yticks=[])
    axes.set_xticks([x - step, x, x + step], ["x − ε", "x", "x + ε"], fontsize=NORMAL)
    axes.spines["left"].set_visible(False)
    axes.text(-1.25, 1.15, "relu(x)", color=MUTED, ha="left", **at)
    return figure


FIGURES = {"kink": kink}
