"""What was said minus what is true, for softmax_cross_entropy.md."""

import numpy as np

import tinynet
from drawing import BACKWARD, FORWARD, INK, NORMAL, THIRD, number, plots
from tinynet import functional as F


def said_and_true():
    """The example by hand: p, the truth, and the gradient of the scores."""
    x = tinynet.tensor(np.log([[1.0, 2.0, 5.0]]), requires_grad=True)
    truth = np.eye(3)[1]
    F.cross_entropy(x, np.array([1])).backward()
    p = F.softmax(x, dim=1).numpy()[0]
    figure, panels = plots(2.5, 3, sharey=True)
    names = ("p: what was said", "what is true", "dx: the difference")
    for axes, values, name, color in zip(panels, (p, truth, x.grad[0]), names, (FORWARD, THIRD, BACKWARD), strict=True):
        axes.bar(range(3), values, color=color, width=0.62)
        axes.axhline(0, color=INK, lw=0.9)
        for c, value in enumerate(values):
            axes.text(c, value + (0.05 if value >= 0 else -0.05), number(value), ha="center", fontsize=NORMAL,
                      va="bottom" if value >= 0 else "top", color=INK)
        axes.set_title(name, fontsize=NORMAL, color=color)
        axes.set(ylim=(-1.0, 1.25), yticks=[])
        axes.set_xticks(range(3), ["0", "1", "2"])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(length=0)
    panels[1].set_xlabel("class", fontsize=NORMAL)
    return figure


FIGURES = {"said-and-true": said_and_true}
