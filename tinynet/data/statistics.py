"""What a training set's normalization and color noise are fitted on (Krizhevsky et al., 2012, sections 2 and 4.1)."""

from itertools import chain, islice
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from tinynet.data.arguments import as_iterable, check_bools, check_dataset, check_image, check_integer, wrong
from tinynet.data.errors import DataError, ImageError
from tinynet.data.images import LARGEST_SIDE
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
        if missing := [name for name in ("mean", "eigenvalues", "eigenvectors") if name not in saved]:
            raise wrong("Statistics.from_state_dict", "saved", f"a state with {', '.join(missing)}", list(saved))
        return cls(saved["mean"], PCAColor(saved["eigenvalues"], saved["eigenvectors"]))


def fit_statistics(images, side, seed, progress=False):
    """Statistics of a training set, `images`, read at side x side pixels.

    Fitted on up to 2,000 images drawn with `seed`, the colors on the first 500 of these. Images that cannot be read
    are skipped; raises DataError if none can. progress: show a bar.
    """
    check_dataset("fit_statistics", "images", images)
    check_integer("fit_statistics", "side", side, 1, LARGEST_SIDE)
    check_integer("fit_statistics", "seed", seed, 0)
    check_bools("fit_statistics", progress=progress)
    # NumPy pads seeds with zeros, so (seed) alone would give the order of the loader's epoch 0, from (seed, 0).
    rng = np.random.default_rng((seed, 0, 0, 1))
    chosen = np.sort(rng.permutation(len(images))[:MEAN_IMAGES])
    bar = tqdm(chosen, desc="mean and colors", unit="image", leave=False, disable=not progress)
    failed = []
    sample = _readable(images, side, bar, failed)
    first = list(islice(sample, COLOR_IMAGES))
    if not first:
        why = f"; the first: {failed[0]}" if failed else ""
        raise DataError(f"{images.root}: none of {len(chosen)} images tried can be read{why}")
    return Statistics(mean_image(chain(first, sample)), PCAColor.fit(first))


def _readable(images, side, indices, failed):
    for i in indices:
        try:
            yield images.image(i, side)
        except ImageError as error:
            failed.append(error)  # the loader lists them


def mean_image(images):
    """The mean of uint8 (H, W, 3) images of one size: float32 (H, W, 3), on a 0-255 scale."""
    total, count = 0.0, 0
    for image in as_iterable("mean_image", "images", images):
        check_image("mean_image", image)
        if count and image.shape != total.shape:
            raise DataError(f"mean_image needs images of one size, got {total.shape} and {image.shape}")
        total, count = total + image, count + 1
    if count == 0:
        raise DataError("mean_image needs at least one image, got none")
    return (total / count).astype(np.float32)
