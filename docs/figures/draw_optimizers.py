"""Paths of tinynet's optimizers, for optimizers.md: in a narrow valley, and after the learning rate has changed."""

import numpy as np

import tinynet
from drawing import BACKWARD, FORWARD, LINE, MUTED, NORMAL, SMALL, THIRD, plots
from tinynet import optim

CURVATURES = np.array([1.0, 100.0])


def path(steps, optimizer, **settings):
    """(steps + 1, 2): where the two weights are, on the page's valley and from its start."""
    h = tinynet.tensor(CURVATURES)
    w = tinynet.tensor(np.array([-8.0, 1.0]), requires_grad=True)
    optimizer, places = optimizer([w], **settings), [w.numpy().copy()]
    for _ in range(steps):
        (0.5 * (h * w * w).sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
        places.append(w.numpy().copy())
    return np.array(places)


def optimizer_paths():
    figure, (axes,) = plots(3.3)
    x, y = np.meshgrid(np.linspace(-9, 4.5, 300), np.linspace(-1.25, 1.25, 300))
    losses = 0.5 * (CURVATURES[0] * x**2 + CURVATURES[1] * y**2)
    axes.contour(x, y, losses, levels=[1, 5, 15, 32, 60], colors=LINE, linewidths=0.7)
    for name, color, marker, settings in (
        ("SGD", BACKWARD, "s", (optim.SGD, dict(lr=0.018))),
        ("with momentum", FORWARD, "o", (optim.SGD, dict(lr=0.004, momentum=0.9))),
        ("Adam", THIRD, "^", (optim.Adam, dict(lr=0.5))),
    ):
        places = path(60, settings[0], **settings[1])
        axes.plot(*places.T, color=color, marker=marker, ms=3.5, lw=1.1, label=name)
    axes.plot(0, 0, "*", color="black", ms=12, zorder=5)
    axes.set(xlim=(-9, 4.5), ylim=(-1.25, 1.25))
    axes.set_xlabel("weight 0, curvature 1", fontsize=NORMAL)
    axes.set_ylabel("weight 1, curvature 100", fontsize=NORMAL)
    axes.legend(frameon=False, fontsize=NORMAL, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), handlelength=1.6)
    return figure


def moves(optimizer, lr_before, lr_after, steps, change):
    """How far a weight moves in each step, with a constant gradient of 1."""
    w = tinynet.tensor(np.zeros(1), requires_grad=True)
    optimizer, moved = optimizer([w], lr=lr_before, momentum=0.9, weight_decay=0.0), []
    for step in range(steps):
        if step == change:
            optimizer.param_groups[0]["lr"] = lr_after
        before, w.grad = w.item(), np.ones(1)
        optimizer.step()
        moved.append(before - w.item())
    return np.array(moved)


def momentum_forms():
    figure, (axes,) = plots(2.6)
    shown = np.arange(-10, 40)
    forms = ("PyTorch", FORWARD, "-", optim.SGD), ("the paper", BACKWARD, "--", optim.PaperSGD)
    for name, color, dashes, optimizer in forms:
        moved = moves(optimizer, 0.1, 0.01, 240, 200)
        axes.step(shown, moved[190:], where="mid", color=color, ls=dashes, lw=2, label=name)
    axes.axvline(-0.5, color=LINE, lw=0.8)
    axes.text(0, 1.06, "learning rate divided by 10", color=MUTED, fontsize=SMALL, ha="left")
    axes.set(ylim=(0, 1.15))
    axes.set_xlabel("steps after the change", fontsize=NORMAL)
    axes.set_ylabel("length of a step", fontsize=NORMAL)
    axes.legend(frameon=False, fontsize=NORMAL, loc="center right")
    return figure


FIGURES = {"optimizer-paths": optimizer_paths, "momentum-forms": momentum_forms}
