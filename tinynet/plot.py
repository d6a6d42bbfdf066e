"""The figures of a run: learning curves, first-layer kernels, nearest images."""

import numpy as np
from matplotlib.figure import Figure

INK, MUTED, FAINT = "#222222", "#8a8a8a", "#c9d8ea"
TRAINING, HELD_OUT, SAME = "#3b6ea5", "#c8442b", "#2e7d32"


def curves(path, rows, steps_per_epoch, title):
    """Loss (left) and error (right) against epochs. rows: those of a MetricsFile."""

    def column(name, rows=rows):
        return np.array([float(row[name]) for row in rows])

    evaluated = [i for i, row in enumerate(rows) if row.get("val_loss")]
    epochs = column("step", [rows[i] for i in evaluated]) / steps_per_epoch
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    figure.suptitle(title, fontsize=11, color=INK)
    left, right = figure.subplots(1, 2)
    losses, steps = column("loss"), column("step") / steps_per_epoch
    left.plot(steps, losses, color=FAINT, lw=0.5)
    window = max(1, len(losses) // 100)
    smooth = np.convolve(losses, np.ones(window) / window, "valid")
    left.plot(steps[window - 1 :], smooth, color=TRAINING, lw=1.6, label="training batches")
    held_out = [rows[i] for i in evaluated]
    left.plot(epochs, column("val_loss", held_out), color=HELD_OUT, lw=1.6, label="validation")
    left.set(xlabel="epoch", ylabel="cross-entropy", ylim=(0, 1.1 * smooth.max()))
    seen = [column("top1", rows[max(i + 1 - steps_per_epoch, 0) : i + 1]).mean() for i in evaluated]
    for shares, colour, style, label in (
        (np.array(seen), TRAINING, "-", "training, top-1 (augmented)"),
        (column("val_top1", held_out), HELD_OUT, "-", "validation, top-1"),
        (column("val_top5", held_out), HELD_OUT, ":", "validation, top-5"),
    ):
        right.plot(epochs, 100 * (1 - shares), color=colour, ls=style, lw=1.6, label=label)
    right.set(xlabel="epoch", ylabel="error, %", ylim=(0, 100))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=130)


def kernels(path, weight, blocks, title):
    """The filters of the first layer as pictures, one block per group (the paper's figure 3).

    weight: (K, 3, R, S). blocks: into how many equal runs to cut K. Each filter is stretched to
    the full range of grey on its own, with 0 at middle grey.
    """
    each = len(weight) // blocks
    columns = next(c for c in (16, 12, 8, each) if each % c == 0)
    rows = each // columns
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


def nearest(path, rows, title):
    """The paper's figure 4: in each row a query and its nearest images, framed by right or wrong.

    rows: lists of (picture (H, W, 3) uint8, class name), the query first.
    """
    columns = len(rows[0])
    figure = Figure(figsize=(columns * 1.35, len(rows) * 1.5 + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=10, color=INK)
    for row, axes_row in zip(rows, figure.subplots(len(rows), columns, squeeze=False), strict=True):
        for number, (axes, (picture, name)) in enumerate(zip(axes_row, row, strict=True)):
            colour = INK if number == 0 else SAME if name == row[0][1] else HELD_OUT
            axes.imshow(picture)
            axes.set(xticks=[], yticks=[])
            axes.set_title(name, fontsize=8, color=colour)
            axes.spines[:].set(color=colour, linewidth=2.5 if number == 0 else 1.5)
    figure.savefig(path, dpi=90)
