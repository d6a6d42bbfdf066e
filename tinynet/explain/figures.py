"""The figures of a run: `draw_figures` draws all of them. Each other function draws one, as those in plot.py do."""

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tinynet import plot
from tinynet.data import CenterCrop
from tinynet.explain.confusion import confusion_matrix, most_confused, predictions, worst_mistakes
from tinynet.explain.features import batches, nearest_pictures
from tinynet.explain.norms import dead_share, layer_norms
from tinynet.explain.patches import exciting_patches
from tinynet.files import printable
from tinynet.plot import HELD_OUT, INK, MUTED, SAME, TRAINING, draw_text, save

FIGURES = ["curves.png", "conv1.png", "filters.png", "layers.png", "patches.png", "confusion.png", "mistakes.png",
           "nearest.png"]  # fmt: skip
SOME = 500  # images: what layers.png and patches.png are drawn from
BATCH = 32  # images: what gradients are computed from


def draw_figures(folder, options, model, loaders, metrics, history):
    """All FIGURES of a run into its folder.

    options: the run's. model: an AlexNet with its final weights. loaders: as examples/alexnet_imagenet.py makes them.
    metrics: a MetricsFile. history: a FilterHistory.
    """
    size, train, val = options.image_size, loaders.train.dataset, loaders.val["center crop"].dataset
    seen_as = loaders.plain, loaders.train.side  # how a picture becomes an input
    variant = f", variant {options.variant}" if options.variant else ""
    about = f"AlexNet, {options.width:g} of its width, {size} x {size} pixels, recipe {options.recipe}{variant}"
    plot.curves(folder / "curves.png", metrics.rows, len(loaders.train), about)

    conv1 = model.state_dict()["conv1.weight"]
    plot.filters(folder / "conv1.png", conv1, model.columns, f"conv1: {about}")
    filters_over_time(folder / "filters.png", history.filters | {loaders.train.epoch: conv1}, about)

    indices, batch = next(batches(train, *seen_as, BATCH, BATCH))
    dead, count = dead_share(model, val, *seen_as, SOME)
    layers(folder / "layers.png", layer_norms(model, batch, train.labels[indices]), dead, options.lr, len(batch), count,
           about)
    patches(folder / "patches.png", *exciting_patches(model, val, *seen_as, SOME), size, about)

    numbers, probabilities = predictions(model, val, *seen_as, options.batch_size)
    labels, outputs = val.labels[numbers], probabilities.shape[1]
    names = [*val.classes, *(f"output {i}" for i in range(len(val.classes), outputs))]
    counts = confusion_matrix(labels, probabilities.argmax(1), outputs)
    confusion(folder / "confusion.png", counts, names, about)
    wrong, crop = worst_mistakes(labels, probabilities, 12), CenterCrop(size)
    cells = [(crop(val.image(int(numbers[n]), loaders.train.side)), names[probabilities[n].argmax()],
              probabilities[n].max(), names[labels[n]]) for n in wrong]
    mistakes(folder / "mistakes.png", cells, len(labels), about)

    pictures, count = nearest_pictures(model, val, train, *seen_as, options.batch_size)
    figure, layer = plot.nearest(None, pictures, ""), model.last_hidden
    heading(figure, f"Left: a validation image; right: the nearest of {count:,} training images by {layer}", about)
    save(figure, folder / "nearest.png", 90)


def filters_over_time(path, filters, about, most=32):
    """filters: {epoch: conv1's weight (K, 3, R, S)}; of more than `most`, as many are shown, evenly spaced."""
    K = len(next(iter(filters.values())))
    shown = np.linspace(0, K - 1, min(K, most)).astype(int)
    names = [f"after epoch {epoch}" if epoch else "before training" for epoch in filters]
    figure = plot.filters(None, np.concatenate([part[shown] for part in filters.values()]), names, "")
    heading(figure, f"{'The' if most >= K else f'{most} of the'} {K} filters of conv1 as they are learned", about)
    return save(figure, path, 130)


def layers(path, norms, shares, lr, batch, images, about):
    """Bars for each layer with weights. norms, shares: from layer_norms and dead_share. lr: the initial learning rate.

    batch, images: how many images they are from.
    """
    rows = list(norms.values())
    panels = [
        ("size of the outputs", "root mean square, after the activation", ".2g", [r.output for r in rows]),
        ("size of the gradient", "norm of dL/dweight", ".2g", [r.gradient for r in rows]),
        ("one step, relative to the weights", f"norm of {lr:g} · dL/dweight / norm of weight", ".0e",
         [lr * r.gradient / r.weight if r.weight else 0 for r in rows]),
    ]  # fmt: skip
    has_relus = len(shares) > 0
    figure = Figure(figsize=(3.1 * (3 + has_relus) + 0.4, 0.3 * len(rows) + 1.6), layout="constrained")
    text = f"From the image (top) to the answer: outputs and gradients on {batch} training images"
    heading(figure, text + f", dead ReLUs on {images} validation images" * has_relus, about)
    figure.get_layout_engine().set(wspace=0.06)
    axes = figure.subplots(1, 3 + has_relus, sharey=True, squeeze=False)[0]
    places = np.arange(len(rows))
    for ax, (head, label, style, values) in zip(axes, panels, strict=False):
        ax.plot(values, places, "o-", color=TRAINING, lw=1)
        for place, value in zip(places, values, strict=True):
            ax.text(0.97, place, f"{value:{style}}", transform=ax.get_yaxis_transform(), ha="right", va="center",
                    fontsize=8, color=MUTED)
        ax.set_xmargin(0.25)  # room for the numbers
        if min(values) > 0:
            low, high = np.floor(np.log10(min(values))), np.ceil(np.log10(max(values)))
            ax.set(xscale="log", xlim=(10.0**low / 2, 10.0 ** (high + 0.3 * (high - low))))
            ax.set_xticks(10.0 ** np.arange(low, high + 1))
            ax.minorticks_off()
        ax.set_xlabel(label, fontsize=8)
        draw_text(ax.set_title, head, fontsize=10, color=INK)
    if has_relus:
        axes[-1].barh(places, [100 * shares.get(layer, 0) for layer in norms], color=HELD_OUT, height=0.7)
        for place, layer in zip(places, norms, strict=True):
            text = f"{shares[layer]:.1%}" if layer in shares else "no ReLU"
            axes[-1].text(100 * shares.get(layer, 0) + 2, place, text, va="center", fontsize=8, color=MUTED)
        axes[-1].set(xlim=(0, 118), xticks=[0, 50, 100])
        axes[-1].set_xlabel(f"% of units that are 0 for all {images} images", fontsize=8)
        draw_text(axes[-1].set_title, "dead ReLUs", fontsize=10, color=INK)
    axes[0].set_yticks(places, list(norms))
    axes[0].invert_yaxis()
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="x", alpha=0.25)
        ax.set_axisbelow(True)
        ax.tick_params(labelsize=8)
    return save(figure, path, 130)


def patches(path, found, images, side, about):
    """A block per convolution, a row per channel. found, images: from exciting_patches. side: of the pictures."""
    across = 3
    down = -(-len(found) // across)
    figure = Figure(figsize=(3.9 * across, 2.65 * down + 0.6), layout="constrained")
    text = "What excites a channel most: the receptive fields of its units with the largest outputs"
    heading(figure, f"{text}, among {images} validation images (white: outside of field or picture)", about)
    blocks = figure.subplots(down, across, squeeze=False).ravel()
    for ax in blocks[len(found) :]:
        ax.set_axis_off()
    for ax, (layer, (size, channels)) in zip(blocks, found.items(), strict=False):
        n = len(next(iter(channels.values()))[0])
        gap, row_gap = max(n // 16, 1), max(n // 8, 1)
        most = max(map(len, channels.values()))
        wall = np.full((len(channels) * (n + row_gap) - row_gap, most * (n + gap) - gap, 3), 255, np.uint8)
        for i, row in enumerate(channels.values()):
            for j, patch in enumerate(row):
                wall[i * (n + row_gap) :][:n, j * (n + gap) :][:, :n] = patch
        ax.imshow(wall, interpolation="antialiased")
        ax.set_yticks(np.arange(len(channels)) * (n + row_gap) + n / 2, [f"channel {k}" for k in channels], fontsize=7)
        ax.set_xticks([])
        ax.tick_params(length=0, labelcolor=MUTED)
        ax.spines[:].set_visible(False)
        head = f"{layer}: field {size} x {size}, picture {side} x {side} pixels"
        draw_text(ax.set_title, head, fontsize=9, color=INK)
    return save(figure, path, 130)


def confusion(path, counts, names, about, most=20):
    """Rows: what images are; columns: what they were said to be, in % of the row. counts: from confusion_matrix."""
    shown, right = most_confused(counts, most), np.trace(counts) / counts.sum()
    everything = counts.sum(1, keepdims=True)[shown]
    share = counts[np.ix_(shown, shown)] / np.maximum(everything, 1)
    n, diagonal = len(shown), np.eye(len(shown), dtype=bool)[:, :, None]
    color = np.where(diagonal, to_rgb(TRAINING), to_rgb(HELD_OUT))
    figure = Figure(figsize=(max(0.48 * n + 2.6, 6.4), max(0.42 * n, 1.8) + 2.2), layout="constrained")
    which = "Confusion matrix" if n == len(names) else f"The {n} most confused of {len(names):,} classes"
    heading(figure, f"{which}: {counts.sum():,} validation images, {right:.1%} right; in % of each row", about)
    ax = figure.subplots()
    ax.imshow(1 + share[:, :, None] * (color - 1), interpolation="nearest")
    for i, j in np.argwhere(share >= 0.005):
        ink = "white" if share[i, j] > 0.6 else INK
        ax.text(j, i, f"{100 * share[i, j]:.0f}", ha="center", va="center", fontsize=8, color=ink)
    labels = [short(names[k]) for k in shown]
    ax.set_xticks(range(n), labels, rotation=90, fontsize=8, parse_math=False)
    ax.set_yticks(range(n), labels, fontsize=8, parse_math=False)
    ax.set_xlabel("what the network said", color=INK)
    ax.set_ylabel("what it is", color=INK)
    ax.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="#eeeeee", lw=0.8)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    return save(figure, path, 130)


def mistakes(path, cells, images, about):
    """cells: (picture (H, W, 3) uint8, the class that was said, its probability, the right class), worst first."""
    across = 4
    down = max(-(-len(cells) // across), 1)
    figure = Figure(figsize=(2.3 * across, 2.35 * down + 0.6), layout="constrained")
    head = f"The mistakes it was surest of, among {images:,} validation images" if cells else \
        f"Not one mistake among {images:,} validation images"  # fmt: skip
    heading(figure, head, about)
    for number, ax in enumerate(figure.subplots(down, across, squeeze=False).ravel()):
        ax.set_axis_off()
        if number < len(cells):
            picture, said, sure, right = cells[number]
            ax.imshow(picture)
            text = f"said: {short(said)}, {sure:.0%}", f"is: {short(right)}"
            for y, line, color in zip((1.13, 1.03), text, (HELD_OUT, SAME), strict=True):
                draw_text(ax.text, 0.5, y, line, transform=ax.transAxes, ha="center", fontsize=8, color=color)
    return save(figure, path, 110)


def heading(figure, text, about):
    figure.suptitle(f"{text}\n{about}", fontsize=10, color=INK)


def short(name):
    name = printable(name)  # it is the name of a folder
    return name if len(name) <= 22 else f"{name[:21]}…"
