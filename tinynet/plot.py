"""Figures: learning curves, first-layer filters, nearest images, and a network's columns.

Each function returns its Figure, which a notebook shows after `%matplotlib inline`; path: where to save it as well, or
None.
"""

import warnings

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tinynet.files import printable

INK, MUTED, FAINT = "#222222", "#8a8a8a", "#c9d8ea"
TRAINING, HELD_OUT, SAME = "#3b6ea5", "#c8442b", "#2e7d32"
RIGHT = "#a9d3a0"  # SAME, light enough for text
DEVICES = [TRAINING, HELD_OUT, SAME, "#9c6b00"]  # one color per device, then from the start


def curves(path, rows, steps_per_epoch, title):
    """Loss (left) and error (right) against epochs. rows: those of a MetricsFile."""

    def column(name, rows=rows):
        return np.array([float(row[name]) for row in rows])

    evaluated = [i for i, row in enumerate(rows) if row.get("val_loss") not in (None, "")]  # 0.0 is a loss
    epochs = column("step", [rows[i] for i in evaluated]) / steps_per_epoch
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    draw_text(figure.suptitle, title, fontsize=11, color=INK)
    left, right = figure.subplots(1, 2)
    losses, steps = column("loss"), column("step") / steps_per_epoch
    left.plot(steps, losses, color=FAINT, lw=0.5)
    window = max(1, len(losses) // 100)
    smooth = np.convolve(losses, np.ones(window) / window, "valid")
    left.plot(steps[window - 1 :], smooth, color=TRAINING, lw=1.6, label="training batches")
    held_out = [rows[i] for i in evaluated]
    left.plot(epochs, column("val_loss", held_out), color=HELD_OUT, lw=1.6, label="validation")
    left.set(xlabel="epoch", ylabel="cross-entropy", ylim=(0, 1.1 * smooth.max() or 1))
    seen = [column("top1", rows[max(i + 1 - steps_per_epoch, 0) : i + 1]).mean() for i in evaluated]
    for shares, color, style, label in (
        (np.array(seen), TRAINING, "-", "training, top-1 (augmented)"),
        (column("val_top1", held_out), HELD_OUT, "-", "validation, top-1"),
        (column("val_top5", held_out), HELD_OUT, ":", "validation, top-5"),
    ):
        right.plot(epochs, 100 * (1 - shares), color=color, ls=style, lw=1.6, label=label)
    right.set(xlabel="epoch", ylabel="error, %", ylim=(0, 100))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=9)
    return save(figure, path, 130)


def filters(path, weight, names, title):
    """The filters of the first layer as pictures, one block per column of channels (the paper's figure 3).

    weight: (K, 3, R, S). names: of the columns, into which K is split evenly. Each filter is scaled to the full
    range of gray on its own, with 0 at middle gray.
    """
    each = len(weight) // len(names)
    columns = next(c for c in (16, 12, 8, each) if each % c == 0)
    rows = each // columns
    R, S = weight.shape[2:]
    figure = Figure(figsize=(columns * 0.52, len(names) * (rows * 0.52 + 0.3) + 0.4), layout="constrained")
    draw_text(figure.suptitle, title, fontsize=11, color=INK)
    blocks = zip(np.atleast_1d(figure.subplots(len(names), 1)), np.split(weight, len(names)), names, strict=True)
    for axes, part, name in blocks:
        picture = np.ones((rows * (R + 1) - 1, columns * (S + 1) - 1, 3))
        for i, kernel in enumerate(part):
            top, left = i // columns * (R + 1), i % columns * (S + 1)
            stretched = 0.5 + 0.5 * kernel / max(np.abs(kernel).max(), 1e-12)
            picture[top : top + R, left : left + S] = stretched.transpose(1, 2, 0)
        axes.imshow(picture, interpolation="nearest")
        axes.set_axis_off()
        draw_text(axes.set_title, name, fontsize=9, color=MUTED, loc="left")
    return save(figure, path, 130)


def nearest(path, rows, title):
    """The paper's figure 4: in each row a query and its nearest images, framed by whether the class is the same.

    rows: lists of (picture (H, W, 3) uint8, class name), the query first.
    """
    columns = len(rows[0])
    figure = Figure(figsize=(columns * 1.35, len(rows) * 1.5 + 0.4), layout="constrained")
    draw_text(figure.suptitle, title, fontsize=10, color=INK)
    for row, axes_row in zip(rows, figure.subplots(len(rows), columns, squeeze=False), strict=True):
        for number, (axes, (picture, name)) in enumerate(zip(axes_row, row, strict=True)):
            color = INK if number == 0 else SAME if name == row[0][1] else HELD_OUT
            axes.imshow(picture)
            axes.set(xticks=[], yticks=[])
            draw_text(axes.set_title, _short(name), fontsize=8, color=color)
            axes.spines[:].set(color=color, linewidth=2.5 if number == 0 else 1.5)
    return save(figure, path, 90)


def predictions(path, pictures, title):
    """The paper's figure 4, left: each picture above what it shows, and the classes that a network gives it.

    pictures: a list of (picture (H, W, 3) uint8, name of its class or None, [(class name, probability)]), the best
    class first. The bar of the right class is green; a frame is green where the first is right, and red where not.
    """
    across = min(5, len(pictures))
    down = -(-len(pictures) // across)
    figure = Figure(figsize=(max(across * 1.9, 5), down * 3 + 0.4), layout="constrained")
    figure.get_layout_engine().set(hspace=0, h_pad=0.03)
    draw_text(figure.suptitle, title, fontsize=10, color=INK)
    cells = figure.subplots(2 * down, across, squeeze=False, height_ratios=[1.9, 1.1] * down)
    for axes in cells.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for number, (picture, name, guesses) in enumerate(pictures):
        row, column = divmod(number, across)
        above, below = cells[2 * row : 2 * row + 2, column]
        above.imshow(picture)
        above.spines[:].set(visible=True, linewidth=2, color=INK if name is None else
                            SAME if guesses[0][0] == name else HELD_OUT)
        draw_text(above.set_xlabel, _short(name or "not known"), fontsize=9, color=INK if name else MUTED,
                  labelpad=2)
        for place, (guess, probability) in enumerate(guesses):
            right = guess == name
            below.barh(place, probability, height=0.86, color=RIGHT if right else FAINT)
            draw_text(below.text, 0.02, place, _short(guess), va="center", fontsize=8, color=INK,
                      weight="bold" if right else "normal")
            below.text(1, place, f"{probability:.0%}", va="center", ha="right", fontsize=8, color=INK)
        below.set(xlim=(0, 1), ylim=(5, -0.5))  # with a gap below
    return save(figure, path, 110)


def _short(name):
    return name if len(name) <= 22 else f"{name[:21]}…"


def columns(path, steps, title):
    """A network on several devices, one column each: layers, shapes, and what crosses between them.

    steps: from explain.steps. An arrow has the color of the device that sends; the text beside the arrows says what
    one of them carries in the forward pass of a batch.
    """
    boxes = []  # lists of steps: a box begins where something arrives, or with a layer that has parameters
    for step in steps:
        if step.sends or not boxes or (any(step.parameters) and any(s.computes for s in boxes[-1])):
            boxes.append([])
        boxes[-1].append(step)
    n, width, height = len(steps[0].shapes), 2.2, 0.5  # of a box, in inches; the axes' unit is an inch
    left = [2.7 * d for d in range(n)]
    gaps = np.cumsum([0.0, *(0.85 if box[0].sends else 0.22 for box in boxes[1:])])
    tops = gaps + height * np.arange(len(boxes))
    right, bottom = left[-1] + width + 1.2, tops[-1] + height
    figure = Figure(figsize=(right + 0.2, bottom + 1.0))
    axes = figure.add_axes([0, 0, 1, 1], xlim=(-0.1, right + 0.1), ylim=(bottom + 0.1, -0.9))
    axes.set_axis_off()
    draw_text(axes.text, right / 2, -0.58, title, ha="center", va="center", fontsize=11, color=INK)
    for d, x in enumerate(left):
        axes.text(x, -0.12, f"device {d}", fontsize=9, color=DEVICES[d % len(DEVICES)])
    for number, (box, top) in enumerate(zip(boxes, tops, strict=True)):
        arriving = box[0].sends
        for d in range(len(box[-1].shapes)):
            _draw_box(axes, left[d], top, width, height, box, d)
            arriving = {(d, d): 0} | arriving
        for i, j in arriving if number else ():
            # Arrows into one box end side by side, in the order of their senders.
            start, end = left[i] + width / 2, left[j] + width / 2 + 0.3 * (i - j)
            arrow = dict(arrowstyle="-|>", color=DEVICES[i % len(DEVICES)], lw=1.2, shrinkA=0, shrinkB=0)
            axes.annotate("", (end, top), (start, tops[number - 1] + height), arrowprops=arrow)
        if sends := box[0].sends:
            amount = " or ".join(f"{size / 1e6:.2f}" for size in sorted(set(sends.values()))) + " MB"
            both = all((j, i) in sends for i, j in sends)
            text = (f"{amount}\neach way" if both else f"{amount}\none way") if number else f"a copy each:\n{amount}"
            y = top - 0.42 if number else height / 2
            axes.text(left[-1] + width + 0.2, y, text, va="center", fontsize=9, color=INK)
    return save(figure, path, 110)


def draw_text(draw, *arguments, **style):
    """Draw text that may hold the name of a folder, in which $ begins no formula."""
    *place, text = arguments
    draw(*place, printable(text), parse_math=False, **style)


def save(figure, path, dpi):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # drawn as a box
        if path is not None:
            figure.savefig(path, dpi=dpi)
    return figure


def _draw_box(axes, x, y, width, height, box, d):
    """A layer and its shape in column d; below, the layers that follow it and the shape after them."""
    axes.add_patch(Rectangle((x, y), width, height, facecolor="white", edgecolor=DEVICES[d % len(DEVICES)], lw=1.3))
    first, *rest = [step for step in box if step.computes] or box
    shape, last = (" × ".join(map(str, step.shapes[d])) for step in (first, box[-1]))
    below = ", ".join(step.name.rstrip("_0123456789") for step in rest) + (f": {last}" if last != shape else "")
    upper = y + height * (0.3 if rest else 0.5)
    name = first.name if first.computes else "all"
    axes.text(x + 0.1, upper, name, weight="bold", va="center", fontsize=9, color=INK)
    axes.text(x + width - 0.1, upper, shape, va="center", ha="right", fontsize=9, color=INK)
    axes.text(x + 0.1, y + height * 0.74, below, va="center", fontsize=7.5, color=INK)
