"""What trained networks say of pictures: of a validation set (--evaluate), or of anybody's (--predict).

The softmaxes of several networks are averaged, as in the paper's table 2; those of ten crops anyway.
"""

import csv
import os

import numpy as np

from tinynet import plot
from tinynet.errors import RunError
from tinynet.files import printable, replacing
from tinynet.training.begin import brief, check_ranks_agree
from tinynet.training.evaluate import result_line, score, softmaxes
from tinynet.training.run_folder import report_skipped

BEST, SHOWN = 5, 20  # classes for each picture; pictures in the figure


def answer(arguments, networks, ranks):
    """Do what --evaluate or --predict asks for. networks: [(options, checkpoint, model, loaders)].

    Raises RunError, before anything is computed, if it cannot be done.
    """
    check_same_images(networks)
    ranks.collectively(lambda: restore(networks))
    for options, _, model, loaders in networks:
        check_ranks_agree(ranks, options, loaders, model)
    if arguments.evaluate:
        loader, labels, mean, lines = evaluate_networks(networks, ranks)
    else:
        folder = arguments.out or arguments.checkpoints[0].parent
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise RunError(f"{folder} cannot be written to: choose a folder for predictions.png with --out")
        loader, labels, mean, lines = predict(networks, ranks)
        draw(folder / "predictions.png", networks, loader, labels, mean)
        lines.append(f"in {printable(folder)}: predictions.png")
    report_skipped([loader for *_, loaders in networks for loader in loaders.val.values()], ranks)
    if arguments.csv:
        write_predictions(arguments.csv, loader, labels, mean)
        lines.append(f"in {printable(arguments.csv)}: the five best classes of {len(labels):,} pictures")
    if ranks.rank == 0:
        print(*lines, sep="\n", flush=True)


def restore(networks):
    for _, saved, model, _ in networks:
        saved.restore(model=model)
        saved.arrays.clear()  # larger than the network


def evaluate_networks(networks, ranks):
    """(the ten-crop loader, labels, the networks' mean probabilities, lines that say how good each and the mean is)"""
    lines, means = [], {}
    for _, saved, model, loaders in networks:
        for crops, loader in loaders.val.items():
            probabilities, labels = answers(model, loader)
            name = f"{printable(saved.path)}, {crops}" if len(networks) > 1 else crops
            lines.append(result_line(name, score([(probabilities, labels)], loader, ranks)))
            means[crops] = means.get(crops, 0) + probabilities[:, : len(loader.dataset.classes)] / len(networks)
    for crops, mean in means.items() if len(networks) > 1 else ():
        lines.append(result_line(f"average of {len(networks)}, {crops}", score([(mean, labels)], loader, ranks)))
    return loader, labels, means["ten-crop"], lines


def predict(networks, ranks):
    """The same for pictures, whose labels may be -1, with a line for each of them."""
    mean = 0
    for *_, model, loaders in networks:
        loader = loaders.val["ten-crop"]
        probabilities, labels = answers(model, loader)
        mean = mean + probabilities[:, : len(loader.dataset.classes)] / len(networks)
    lines = [prediction_line(*picture, loader.dataset.classes)
             for picture in zip(read_paths(loader), labels, mean, strict=True)]
    known = labels >= 0
    if known.any():
        name = f"{known.sum():,} of {len(labels):,} pictures whose class is known, ten-crop"
        lines.append(result_line(name, score([(mean[known], labels[known])], loader, ranks)))
    return loader, labels, mean, lines


def check_same_images(networks):
    """Raise RunError unless all networks know the same classes and are asked about the same images."""
    (first, known), *others = [(saved.path, loaders.val["ten-crop"].dataset) for _, saved, _, loaders in networks]
    for path, images in others:
        if images.classes != known.classes:
            what = f"{path} knows the classes {brief(images.classes)}; {first} knows {brief(known.classes)}"
            raise RunError(f"networks of different classes cannot be averaged: {what}")
        if images.digest() != known.digest():
            raise RunError(f"{path} has other validation images, in {images.root}, than {first}, in {known.root}: "
                           "say with --data which to take")


def answers(model, loader):
    """(probabilities (N, outputs), labels (N,)) of all images that can be read."""
    probabilities, labels = zip(*softmaxes(model, loader), strict=True)
    return np.concatenate(probabilities), np.concatenate(labels)


def read_paths(loader):
    """The paths of the images that could be read, in the order of the answers."""
    return [path for path in loader.dataset.paths if str(path) not in loader.skipped]


def best(probabilities):
    """The numbers of the classes with the highest probabilities, in that order."""
    return np.argsort(-probabilities, kind="stable")[:BEST].tolist()


def percent(share):
    return f"{100 * share:.1f} %"


def prediction_line(path, label, probabilities, classes):
    """For example: cat.jpg: dog 61.3 %, cat 20.1 %, fox 9.0 %; wrong, it is cat"""
    top = best(probabilities)
    says = ", ".join(f"{printable(classes[i])} {percent(probabilities[i])}" for i in top)
    truth = f"it is {printable(classes[label])}" + f" ({percent(probabilities[label])})" * (label not in top)
    return f"{printable(path)}: {says}" + ("" if label < 0 else "; right" if label == top[0] else f"; wrong, {truth}")


def write_predictions(file, loader, labels, probabilities):
    """A table as CSV: a line for each picture, with its path, the right class where known, and the best classes."""
    classes = loader.dataset.classes
    numbers = range(1, min(BEST, len(classes)) + 1)
    with replacing(file) as unfinished, open(unfinished, "w", encoding="utf-8", errors="surrogateescape",
                                             newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["path", "right", *(f"{what}{n}" for n in numbers for what in ("class", "probability"))])
        for path, label, own in zip(read_paths(loader), labels, probabilities, strict=True):
            guesses = [cell for i in best(own) for cell in (classes[i], f"{own[i]:.6f}")]
            writer.writerow([path, classes[label] if label >= 0 else "", *guesses])


def draw(path, networks, loader, labels, probabilities):
    """The figure: of many pictures, some that are evenly spaced in the list."""
    images, paths, pictures = loader.dataset, read_paths(loader), []
    for i in np.linspace(0, len(paths) - 1, min(SHOWN, len(paths))).astype(int).tolist():
        pixels = images.image(images.paths.index(paths[i]), loader.side)
        bars = [(images.classes[k], float(probabilities[i, k])) for k in best(probabilities[i])]
        pictures.append((pixels, images.classes[labels[i]] if labels[i] >= 0 else None, bars))
    options = networks[0][0]
    about = f"AlexNet, {options.width:g} of its width, {options.image_size} x {options.image_size} pixels"
    about = about if len(networks) == 1 else f"the average of {len(networks)} networks"
    some = f"{len(pictures)} of {len(paths):,} pictures. " if len(pictures) < len(paths) else ""
    plot.predictions(path, pictures, f"{some}The five best guesses of {about}")
