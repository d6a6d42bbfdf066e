"""Crops, mirror images, color noise, mean subtraction (Krizhevsky et al., 2012, sections 2 and 4).

A transform is called as transform(image, rng): image is (H, W, 3), uint8 or float32 on the 0-255
scale, rng a numpy Generator. None changes the image it is given, which may lie in a cache. The
paper's training and test pipelines are

    train = Compose([RandomCrop(224), RandomHorizontalFlip(), Normalize(mean), PCAColor.fit(some), to_chw])
    test = Compose([TenCrop(224), Normalize(mean), to_chw])

where the last step gives the network's layout: float32 (3, H, W), or (10, 3, H, W).

Color noise. With lambda_j, p_j the eigenvalues and unit eigenvectors of the covariance of all RGB
pixels, each use of an image gets one random color added to every pixel:

    shift = sum_j p_j * alpha_j * sqrt(lambda_j)
    alpha_j ~ N(0, 0.1), drawn once per image per use

The scale trap: the paper prints lambda_j where sqrt(lambda_j) is meant. An eigenvalue of a
covariance is a variance, in gray levels squared; its root is a standard deviation, in gray levels.
On ImageNet the printed formula would move pixels of 0-255 by more than 1,000 gray levels; the root
gives about 12, and is what the 2012 code computes.
"""

import numpy as np

from tinynet.data.errors import DataError
from tinynet.data.images import cut


class Compose:
    """Applies transforms one after the other, with the same generator."""

    def __init__(self, transforms):
        self.transforms = list(transforms)

    def __call__(self, image, rng=None):
        for transform in self.transforms:
            image = transform(image, rng)
        return image


class RandomCrop:
    """A (size, size) patch, each position equally likely: 33 x 33 of them for 224 out of 256."""

    def __init__(self, size):
        self.size = size

    def part(self, height, width, rng):
        """(top, left, size) of what it takes from a (height, width) picture: drawn now."""
        room_y, room_x = _room(height, width, self.size)
        return int(rng.integers(room_y + 1)), int(rng.integers(room_x + 1)), self.size

    def __call__(self, image, rng):
        return cut(image, self.part(*image.shape[:2], rng))


class CenterCrop:
    """The central (size, size) patch."""

    def __init__(self, size):
        self.size = size

    def part(self, height, width, rng=None):
        """(top, left, size) of what it takes from a (height, width) picture."""
        room_y, room_x = _room(height, width, self.size)
        return room_y // 2, room_x // 2, self.size

    def __call__(self, image, rng=None):
        return cut(image, self.part(*image.shape[:2]))


class TenCrop:
    """ten_crop as a transform: (H, W, 3) to (10, size, size, 3)."""

    def __init__(self, size):
        self.size = size

    def __call__(self, image, rng=None):
        return ten_crop(image, self.size)


class RandomHorizontalFlip:
    """The mirror image (left and right change places), with probability p."""

    def __init__(self, p=0.5):
        self.p = p

    def __call__(self, image, rng):
        return image[:, ::-1] if rng.random() < self.p else image


class Normalize:
    """(image - mean) / scale, in float32.

    mean: a (side, side, 3) mean image, a (3,) color or a number, on 0-255. Of a mean image, the
        central part of the crop's size is subtracted from every crop, wherever that crop was taken,
        as the 2012 code does.
    scale: a number or a (3,) color. The paper has none (1.0). If it is not 1, PCAColor belongs
        before Normalize, since it counts in gray levels.
    """

    def __init__(self, mean, scale=1.0):
        self.mean, self.scale = _planes(np.asarray(mean, np.float32)), np.asarray(scale, np.float32)
        if self.mean.shape not in ((), (3,)) and (self.mean.ndim != 3 or len(self.mean.T) != 3):
            raise DataError(
                f"mean must be a number, a (3,) color or an (S, S, 3) image, got {self.mean.shape}"
            )
        if self.scale.shape not in ((), (3,)) or not np.all(self.scale > 0):
            raise DataError(f"scale must be a positive number or (3,) color, got {scale!r}")

    def __call__(self, image, rng=None):  # image: (H, W, 3), or (10, H, W, 3) from TenCrop
        mean = self.mean
        if mean.ndim == 3:
            mean = _central(mean, *image.shape[-3:-1])
        y = np.subtract(_planes(image), mean, dtype=np.float32)
        if np.any(self.scale != 1):
            y /= self.scale
        return y


class PCAColor:
    """Adds eigenvectors @ (alpha * sqrt(eigenvalues)), alpha ~ N(0, sd), to every pixel; float32.

    eigenvalues: (3,), variances on the 0-255 scale. eigenvectors: (3, 3), one a column. sd: 0.1 in
    the paper; 0 switches the noise off.
    """

    def __init__(self, eigenvalues, eigenvectors, sd=0.1):
        self.eigenvalues = np.asarray(eigenvalues, np.float64)  # (3,)
        self.eigenvectors = np.asarray(eigenvectors, np.float64)  # (3, 3)
        self.sd = sd
        if self.eigenvalues.shape != (3,) or self.eigenvectors.shape != (3, 3):
            raise DataError(
                "PCAColor needs eigenvalues (3,) and eigenvectors (3, 3), got "
                f"{self.eigenvalues.shape} and {self.eigenvectors.shape}"
            )
        if not np.all(self.eigenvalues >= 0):
            raise DataError(f"variances cannot be negative, got eigenvalues {self.eigenvalues}")

    @classmethod
    def fit(cls, images, sd=0.1):
        """From uint8 (H, W, 3) images, any iterable of any sizes; some thousands are plenty.

        Covariance of all their pixels: E[x x^T] - E[x] E[x]^T, gathered in float64, image by image.
        Eigenvalues come largest first; the sign of an eigenvector is arbitrary (alpha is symmetric)
        and is fixed so that its largest component is positive.
        """
        pixels, total, products = 0, np.zeros(3), np.zeros((3, 3))
        for image in images:
            x = np.asarray(image, np.float64).reshape(-1, 3)  # (H*W, 3)
            pixels += len(x)
            total += x.sum(axis=0)
            products += x.T @ x
        if pixels == 0:
            raise DataError("PCAColor.fit needs at least one image, got none")
        mean = total / pixels
        values, vectors = np.linalg.eigh(products / pixels - np.outer(mean, mean))
        values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
        largest = vectors[np.abs(vectors).argmax(axis=0), range(3)]
        return cls(values, vectors * np.sign(largest), sd)

    def __call__(self, image, rng):
        alpha = rng.normal(0, self.sd, 3)
        shift = self.eigenvectors @ (alpha * np.sqrt(self.eigenvalues))  # (3,), gray levels
        return np.add(_planes(image), shift.astype(np.float32), dtype=np.float32)


def split_crop(transform):
    """(crop, rest) of a Compose that starts with a crop, (None, transform) of anything else.

    So the loader can ask the crop which part it will take, and have no more than that resampled.
    """
    if isinstance(transform, Compose) and transform.transforms:
        first, *rest = transform.transforms
        if isinstance(first, (RandomCrop, CenterCrop)):
            return first, Compose(rest)
    return None, transform


def mean_image(images):
    """The mean of uint8 (H, W, 3) images of one size: float32 (H, W, 3), on 0-255 (section 2)."""
    total, count = 0.0, 0
    for image in images:
        if count and image.shape != total.shape:
            raise DataError(f"mean_image needs one size, got {total.shape} and {image.shape}")
        total, count = total + image, count + 1
    if count == 0:
        raise DataError("mean_image needs at least one image, got none")
    return (total / count).astype(np.float32)


def ten_crop(image, size):
    """Four corners, the center, then the mirror images of these five: (10, size, size, 3).

    Section 4.1: the network's ten softmax outputs are averaged.
    """
    y, x = _room(*image.shape[:2], size)
    corners = [(0, 0), (0, x), (y, 0), (y, x), (y // 2, x // 2)]
    crops = np.stack([cut(image, (top, left, size)) for top, left in corners])
    return np.concatenate([crops, crops[:, :, ::-1]])


def to_chw(image, rng=None, dtype=np.float32):
    """(..., H, W, 3) to contiguous float32 (..., 3, H, W), the layout of the network's input."""
    return np.ascontiguousarray(np.moveaxis(image, -1, -3), dtype=dtype)


def _planes(image):
    """The same (..., H, W, 3), but in memory one channel after the other, as to_chw will want it.

    NumPy keeps that order in what it computes, and then works along rows, not along runs of three.
    """
    return np.moveaxis(to_chw(image, dtype=None), -3, -1) if image.ndim >= 3 else image


def _room(height, width, size):
    """How far a (size, size) patch can move inside a picture: down, right."""
    if not 0 < size <= min(height, width):
        raise DataError(f"cannot cut {size} x {size} out of an image of {height} x {width}")
    return height - size, width - size


def _central(image, height, width):
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    if min(top, left) < 0:
        raise DataError(
            f"cannot cut the central {height} x {width} out of {image.shape[0]} x {image.shape[1]}"
        )
    return image[top : top + height, left : left + width]
