"""Do the columns specialize (section 6.1, figure 3): are the kernels of one GPU colorless, and the other's colored?

A kernel's colorfulness is the share of its squared weights that is left when from each of its positions the mean of
red, green and blue is taken away: 0 if it sees gray levels only. The columns differ by the difference of their means;
chance: how often 2,000 random halves of the same kernels differ as much.
"""

import numpy as np
from matplotlib.figure import Figure

from tinynet.experiments.fit import NETWORK
from tinynet.experiments.page import COLORS, label_axes
from tinynet.training import load

CLAIM = "in every run, one column's kernels are largely colorless, and the other's have color (6.1, figure 3)"


def run(lab):
    runs = lab.train({"two columns": {}, "never talk": {"variant": "columns-apart"}})
    rows, figure = [], Figure(figsize=(9, 3.6), layout="constrained")
    for (label, own), axes in zip(runs.items(), figure.subplots(1, 2, sharey=True), strict=True):
        for x, one in enumerate(own):
            colors = colorfulness(load(one.folder / NETWORK).arrays["model"]["conv1.weight"])
            columns = np.split(colors, 2)
            by_chance = chance(colors)
            rows.append([label, str(one.setting.seed), *(f"{column.mean():.2f}" for column in columns),
                         f"{abs(columns[0].mean() - columns[1].mean()):.2f}", f"{by_chance:.1%}"])
            for side, column in enumerate(columns):
                place = x + 0.25 * side + np.linspace(-0.06, 0.06, len(column))
                axes.plot(place, np.sort(column), ".", color=COLORS[side], label=f"column {side}" if x == 0 else None)
        axes.set_xticks(np.arange(len(own)) + 0.125, [f"seed {one.setting.seed}" for one in own])
        axes.set_title(label, fontsize=10)
        label_axes(axes, "", "colorfulness of a kernel of conv1")
    axes.legend(frameon=False, fontsize=8)
    lab.page.table(["", "seed", "column 0", "column 1", "difference", "random halves that differ as much"], rows)
    lab.page.text("- The paper: a difference in every run. It shows in a run if few random halves differ as much: "
                  f"under 5 % in {sum(float(row[-1][:-1]) < 5 for row in rows)} of {len(rows)} runs here.")
    lab.page.save(figure)


def colorfulness(kernels):
    """(K, 3, R, S) -> (K,), from 0 to 1."""
    colored = kernels - kernels.mean(axis=1, keepdims=True)
    return (colored**2).sum((1, 2, 3)) / (kernels**2).sum((1, 2, 3))


def chance(colors, halves=2000):
    half, rng = len(colors) // 2, np.random.default_rng(0)
    own = abs(colors[:half].mean() - colors[half:].mean())
    shuffled = np.array([rng.permutation(colors) for _ in range(halves)])
    return float((abs(shuffled[:, :half].mean(1) - shuffled[:, half:].mean(1)) >= own).mean())
