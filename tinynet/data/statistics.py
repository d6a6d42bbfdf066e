"""What a training set's normalization and color noise are fitted on (Krizhevsky et al., 2012, sections 2 and 4.1)."""

from itertools import chain, islice
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from tinynet.data.errors import DataError, ImageError
from tinynet.data.transforms import PCAColor

MEAN_IMAGES, COLOR_IMAGES = 2000, 500  # at most; the paper used the whole training set


class Statistics(NamedTuple):
    """mean: the mean image, float32 (side, side, 3). colors: the color noise, a PCAColor."""

    mean: np.ndarray
    colors: PCAColor

    def state_dict(self):
        return {"mean": self.mean, "eigenvalues": self.colors.eigenvalues, "eigenvectors": self.colors.eigenvectors}

    @classmethod
    def from_state_dict(cls, saved):
        return cls(saved["mean"], PCAColor(saved["eigenvalues"], saved["eigenvectors"]))


def fit_statistics(images, side, seed, progress=False):
    """Statistics of a training set.

    Fitted on up to 2,000 images drawn with `seed`, the colors on the first 500 of these. Images that cannot be read
    are skipped; raises DataError if none can. progress: show a bar.
    """
    # NumPy pads seeds with zeros, so (seed) alone would give the order of the loader's epoch 0, from (seed, 0).
    rng = np.random.default_rng((seed, 0, 0, 1))
    chosen = np.sort(rng.permutation(len(images))[:MEAN_IMAGES])
    bar = tqdm(chosen, desc="mean and colors", unit="image", leave=False, disable=not progress)
    sample = _readable(images, side, bar)
    first = list(islice(sample, COLOR_IMAGES))
    return Statistics(mean_image(chain(first, sample)), PCAColor.fit(first))


def _readable(images, side, indices):
    for i in indices:
        try:
            yield images.image(i, side)
        except ImageError:
            continue  # the loader lists it


def mean_image(images):
    """The mean of uint8 (H, W, 3) images of one size: float32 (H, W, 3), on a 0-255 scale."""
    total, count = 0.0, 0
    for image in images:
        if count and image.shape != total.shape:
            raise DataError(f"mean_image needs images of one size, got {total.shape} and {image.shape}")
        total, count = total + image, count + 1
    if count == 0:
        raise DataError("mean_image needs at least one image, got none")
    return (total / count).astype(np.float32)
