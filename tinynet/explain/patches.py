"""The patches of pictures that excite a channel most, after Zeiler & Fergus, "Visualizing and Understanding
Convolutional Networks", ECCV 2014, figure 2.

A channel of a convolution looks for the same thing everywhere. So of each picture the unit counts whose output, before
the activation, is the largest; what it sees is cut out of the picture.
"""

from typing import NamedTuple

import numpy as np

from tinynet.data import CenterCrop
from tinynet.explain.features import batches
from tinynet.explain.observe import observe
from tinynet.explain.receptive_field import cut_out, receptive_field


class Responses(NamedTuple):
    """What the K channels of a convolution say to N pictures.

    largest: (N, K), each channel's largest output in each picture. at: (N, K), where: number p * Q + q of P x Q units.
    spread: (K,), how far above a channel's mean its `count` largest are, in standard deviations of all its outputs.
    """

    largest: np.ndarray
    at: np.ndarray
    Q: int
    spread: np.ndarray


def responses(model, images, transform, side, most, count):
    """(indices, {layer: Responses}) of up to `most` images, for each convolution."""
    indices, seen = [], {}

    def hook(name, xs):
        if name.startswith("conv"):
            x = np.concatenate([x.numpy() for x in xs], axis=1)  # (n, K, P, Q)
            flat = x.reshape(*x.shape[:2], -1)
            mean, square = flat.mean((0, 2), dtype=np.float64), np.square(flat, dtype=np.float64).mean((0, 2))
            entry = flat.max(2), flat.argmax(2), len(x) * mean, len(x) * square, x.shape[3]
            seen.setdefault(name, []).append(entry)

    for some, batch in batches(images, transform, side, most):
        indices += some
        observe(model, batch, hook)
    layers = {}
    for name, entries in seen.items():
        largest, at, sums, squares, (Q, *_) = zip(*entries, strict=True)
        largest, at = np.concatenate(largest), np.concatenate(at)
        mean = sum(sums) / len(indices)
        std = np.sqrt(np.maximum(sum(squares) / len(indices) - mean**2, 0))
        spread = (np.sort(largest, axis=0)[-count:].mean(0) - mean) / np.maximum(std, 1e-12)
        layers[name] = Responses(largest, at, Q, np.where(std > 0, spread, 0))
    return indices, layers


def conspicuous(spread, favorites, count):
    """Up to `count` channels of the largest spread, first those with different favorites, so that not all are alike.

    spread: (K,). favorites: (K,), the class of the picture that excites a channel most.
    """
    order, by_favorite = np.argsort(-spread, kind="stable").tolist(), {}
    for k in order:
        by_favorite.setdefault(favorites[k], k)
    first = list(by_favorite.values())
    return [*first, *(k for k in order if k not in first)][:count]


def exciting_patches(model, images, transform, side, most=500, channels=4, count=6):
    """({layer: (receptive field's size, {channel: [patch, ...]})}, how many images were looked at).

    For each convolution, the most exciting patch first.

    `channels` of them, chosen by `conspicuous`, and of each the patches from `count` different pictures. images,
    transform, side: as for `features`.
    """
    indices, layers = responses(model, images, transform, side, most, count)
    crop, found = CenterCrop(model.image_size), {}
    for name, (largest, at, Q, spread) in layers.items():
        field, found_here = receptive_field(model, name), {}
        for k in conspicuous(spread, images.labels[indices][largest.argmax(0)], channels):
            order = np.argsort(-largest[:, k], kind="stable")[:count].tolist()
            found_here[k] = [
                cut_out(crop(images.image(indices[n], side)), field, *divmod(int(at[n, k]), Q)) for n in order
            ]
        found[name] = field[0], found_here
    return found, len(indices)
