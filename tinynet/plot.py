"""The figures of a run: learning curves, first-layer kernels, nearest images."""

import math

import numpy as np
from matplotlib.figure import Figure

INK, MUTED, TRAIN, VALIDATION = "#222222", "#8a8a8a", "#9db8d9", "#c8442b"


def curves(path, steps, losses, epochs, validation, title):
    """Loss (left) and error (right) against epochs.

    steps, losses: training loss at each step, steps counted in epochs. epochs, validation: at each
    evaluation a dict with "loss", "top1", "top5" (shares right, 0 to 1) and "train_top1".
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    figure.suptitle(title, fontsize=11, color=INK)
    left, right = figure.subplots(1, 2)
    left.plot(steps, losses, color=TRAIN, lw=0.5, alpha=0.6)
    window = max(1, len(losses) // 100)
    if len(losses) > window:
        smooth = np.convolve(losses, np.ones(window) / window, "valid")
        left.plot(steps[window - 1 :], smooth, color="#3b6ea5", lw=1.6, label="training batches")
    left.plot(epochs, [v["loss"] for v in validation], color=VALIDATION, lw=1.6, marker="o", ms=3, label="validation")
    left.set_ylabel("cross-entropy")
    left.set_ylim(bottom=0, top=1.1 * max([*losses[: max(1, len(losses) // 20)], *(v["loss"] for v in validation)]))
    for key, colour, style, label in (
        ("train_top1", "#3b6ea5", "-", "training, top-1 (augmented)"),
        ("top1", VALIDATION, "-", "validation, top-1"),
        ("top5", VALIDATION, ":", "validation, top-5"),
    ):
        right.plot(epochs, [100 * (1 - v[key]) for v in validation], color=colour, ls=style, lw=1.6, label=label)
    right.set_ylabel("error, %")
    right.set_ylim(0, 100)
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=130)


def kernels(path, weight, blocks, title):
    """The filters of the first layer as pictures, one block per device (the paper's figure 3).

    weight: (K, 3, R, S). blocks: into how many equal runs to cut K. Each filter is stretched to
    the full range of grey on its own, with 0 at middle grey.
    """
    K = len(weight)
    columns = next(c for c in (16, 12, 8, K) if (K // blocks) % c == 0 or c == K)
    rows = math.ceil(K / blocks / columns)
    R, S = weight.shape[2:]
    figure = Figure(figsize=(columns * 0.52, blocks * (rows * 0.52 + 0.3) + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=11, color=INK)
    for number, (axes, part) in enumerate(
        zip(np.atleast_1d(figure.subplots(blocks, 1)), np.split(weight, blocks), strict=True)
    ):
        picture = np.ones((rows * (R + 1) - 1, columns * (S + 1) - 1, 3))
        for i, kernel in enumerate(part):
            top, left = i // columns * (R + 1), i % columns * (S + 1)
            stretched = 0.5 + 0.5 * kernel / max(np.abs(kernel).max(), 1e-12)
            picture[top : top + R, left : left + S] = stretched.transpose(1, 2, 0)
        axes.imshow(picture, interpolation="nearest")
        axes.set_axis_off()
        if blocks > 1:
            axes.set_title(f"group {number}", fontsize=9, color=MUTED, loc="left")
    figure.savefig(path, dpi=130)


def nearest(path, queries, neighbours, title):
    """Each row: a query image, then its nearest images (the paper's figure 4).

    queries: list of (picture (H, W, 3) uint8, caption); neighbours: for each query a list of
    (picture, caption, same): same says whether the class is the query's.
    """
    rows, columns = len(queries), 1 + len(neighbours[0])
    figure = Figure(figsize=(columns * 1.35, rows * 1.5 + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=11, color=INK)
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw={"width_ratios": [1] * columns})
    for row, (query, near) in enumerate(zip(queries, neighbours, strict=True)):
        cells = [(query[0], query[1], None), *near]
        for axes, (picture, caption, same) in zip(grid[row], cells, strict=True):
            axes.imshow(picture)
            axes.set_xticks([])
            axes.set_yticks([])
            colour = {None: INK, True: "#2e7d32", False: VALIDATION}[same]
            axes.set_title(caption, fontsize=8, color=colour)
            for spine in axes.spines.values():
                spine.set_color(colour)
                spine.set_linewidth(2.5 if same is None else 1.5)
    figure.savefig(path, dpi=110)
