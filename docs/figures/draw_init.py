"""The level of the signal and of its cotangent through ten layers, for initialization.md."""

import numpy as np

import tinynet
from drawing import BACKWARD, FORWARD, FOURTH, NORMAL, THIRD, plots
from tinynet import functional as F
from tinynet import nn

C, DEPTH = 256, 10


def levels(std):
    """After each of the ten layers: the root mean square of the signal, and of its cotangent."""
    tinynet.manual_seed(0)
    rng = np.random.default_rng(0)
    x, labels = tinynet.tensor(rng.standard_normal((64, C), np.float32)), rng.integers(0, 10, 64)
    signals, zeros = [], []
    for outputs in [C] * DEPTH + [10]:
        layer = nn.Linear(C, outputs)
        nn.init.normal_(layer.weight, std=std)
        nn.init.zeros_(layer.bias)
        x = layer(x)
        if outputs == C:
            zeros.append(tinynet.tensor(np.zeros(x.shape, "float32"), requires_grad=True))
            x = F.relu(x) + zeros[-1]
            signals.append(x.numpy())
    F.cross_entropy(x, labels).backward()
    return [[np.sqrt(np.mean(a**2)) for a in arrays] for arrays in (signals, [zero.grad for zero in zeros])]


def init_levels():
    figure, panels = plots(3.1, 2)
    styles = ((0.15, FOURTH, "^"), (np.sqrt(2 / C), THIRD, "o"), (0.05, FORWARD, "s"), (0.01, BACKWARD, "v"))
    for std, color, marker in styles:
        name = f"{std:.4f}, He's" if std == np.sqrt(2 / C) else f"{std}"
        for axes, values in zip(panels, levels(std), strict=True):
            axes.semilogy(range(1, DEPTH + 1), values, color=color, marker=marker, ms=4, lw=1.4, label=name)
    for axes, title in zip(panels, ("signal, going up →", "← cotangent, going down"), strict=True):
        axes.set_title(title, fontsize=NORMAL)
        axes.set_xticks([1, 4, 7, 10])
        axes.set_xlabel("layer", fontsize=NORMAL)
        axes.grid(alpha=0.25)
    handles, names = panels[0].get_legend_handles_labels()
    title = dict(title="standard deviation of the weights", title_fontsize=NORMAL, fontsize=NORMAL)
    look = dict(ncols=4, frameon=False, columnspacing=1.2, handlelength=1.4)
    figure.legend(handles, names, loc="outside upper center", **title, **look)
    return figure


FIGURES = {"init-levels": init_levels}
