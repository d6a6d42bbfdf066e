"""What a network makes of pictures: one layer's outputs, and the nearest pictures by them (the paper, figure 4)."""

import itertools

import numpy as np

from tinynet.data import ImageError
from tinynet.explain.observe import observe


def readable(images, transform, side, most):
    """(index, transformed image) of up to `most` readable images, evenly spaced in the data set."""
    for i in np.linspace(0, len(images) - 1, min(most, len(images))).astype(int).tolist():
        try:
            yield i, transform(images.image(i, side))
        except ImageError:
            continue  # the loader counts and lists it


def batches(images, transform, side, most, batch_size=64):
    """(indices, array (N, 3, size, size)) of at most batch_size images each; together those of `readable`."""
    rest = readable(images, transform, side, most)
    while some := list(itertools.islice(rest, batch_size)):
        yield [i for i, _ in some], np.stack([image for _, image in some])


def features(model, images, transform, side, most, layer=None, batch_size=64):
    """(indices, vectors): of up to `most` images, the outputs of `layer`, one row per image.

    None is the last hidden layer after its activation, relu7 in figure 2: 4096 numbers at full width.
    """
    layer = layer or model.last_hidden
    indices, vectors = [], []

    def hook(name, xs):
        if name == layer:
            vectors.append(np.concatenate([x.numpy().reshape(len(x), -1) for x in xs], axis=1))

    for some, batch in batches(images, transform, side, most, batch_size):
        indices += some
        observe(model, batch, hook)
    return indices, np.concatenate(vectors)


def nearest_pictures(model, asked, known, transform, side, batch_size, queries=6, neighbors=6, most=10_000):
    """The paper's figure 4: rows of pictures, a query from `asked` and then its nearest neighbors in `known`.

    Distances are Euclidean, between outputs of the last hidden layer. Returns (rows of (picture, class name), how many
    images of `known` were compared).
    """
    numbers, vectors = features(model, asked, transform, side, queries, batch_size=batch_size)
    others, their_vectors = features(model, known, transform, side, most, batch_size=batch_size)
    rows = []
    for i, vector in zip(numbers, vectors, strict=True):
        near = np.argsort(((their_vectors - vector) ** 2).sum(1))[:neighbors]
        cells = [(asked, i)] + [(known, others[j]) for j in near]
        rows.append([(images.image(k, side), images.classes[images.labels[k]]) for images, k in cells])
    return rows, len(others)
