"""Crops, flips, color noise and mean subtraction (Krizhevsky et al., 2012, sections 2 and 4.1).

A transform is called as transform(image, rng): image is (H, W, 3), uint8 or float32 on a 0-255 scale, and rng a NumPy
Generator. It never modifies its input, which may belong to a cache. The paper's training and test pipelines are

    mean, colors = fit_statistics(train, 256, seed)
    augment = Compose([RandomHorizontalFlip(), colors, Normalize(mean), to_chw])
    DataLoader(train, 128, augment, crop=RandomCrop(224), shuffle=True)
    DataLoader(val, 128, Compose([TenCrop(224), Normalize(mean), to_chw]))

The last step gives the network's input layout: float32 (3, H, W), or (10, 3, H, W) for ten crops.

Color noise. Let lambda_j and p_j be the eigenvalues and unit eigenvectors of the covariance of all RGB pixels. Each
time an image is used, one random color is added to all its pixels:

    shift = sum_j p_j * alpha_j * sqrt(lambda_j)
    alpha_j ~ N(0, 0.1), drawn once per image and use

The scale trap: the paper prints lambda_j where it means sqrt(lambda_j). An eigenvalue of a covariance is a variance, in
gray levels squared; its square root is a standard deviation, in gray levels. On ImageNet the printed formula would
shift pixels of 0-255 by more than 1,000 gray levels; the square root gives about 12, as in the code of 2012.
"""

import numpy as np

from tinynet.data.arguments import (
    as_array,
    as_iterable,
    as_list,
    check_generator,
    check_image,
    check_integer,
    check_number,
    wrong,
)
from tinynet.data.errors import DataError
from tinynet.data.images import crop_to


class Compose:
    """Applies transforms in sequence, with the same generator."""

    def __init__(self, transforms):
        self.transforms = as_list("Compose", "transforms", transforms, callable)

    def __call__(self, image, rng=None):
        for transform in self.transforms:
            image = transform(image, rng)
        return image


class Crop:
    """Takes a patch: patch(height, width, rng) is the (top, left, size) of that of a (height, width) image."""

    def __init__(self, size):
        check_integer(type(self).__name__, "size", size, 1)
        self.size = size

    def __call__(self, image, rng=None):
        check_image(type(self).__name__, image)
        return crop_to(image, self.patch(*image.shape[:2], rng))


class RandomCrop(Crop):
    """A (size, size) patch, each position equally likely: 33 x 33 of them for 224 out of 256."""

    def patch(self, height, width, rng):
        check_generator("RandomCrop", rng)
        room_y, room_x = _room(height, width, self.size)
        return int(rng.integers(room_y + 1)), int(rng.integers(room_x + 1)), self.size


class CenterCrop(Crop):
    """The central (size, size) patch."""

    def patch(self, height, width, rng=None):
        room_y, room_x = _room(height, width, self.size)
        return room_y // 2, room_x // 2, self.size


class TenCrop:
    """ten_crop as a transform: (H, W, 3) to (10, size, size, 3)."""

    def __init__(self, size):
        check_integer("TenCrop", "size", size, 1)
        self.size = size

    def __call__(self, image, rng=None):
        return ten_crop(image, self.size)


class RandomHorizontalFlip:
    """The image mirrored left to right, with probability p."""

    def __init__(self, p=0.5):
        check_number("RandomHorizontalFlip", "p", p, 0, 1)
        self.p = p

    def __call__(self, image, rng):
        check_image("RandomHorizontalFlip", image)
        check_generator("RandomHorizontalFlip", rng)
        return image[:, ::-1] if rng.random() < self.p else image


class Normalize:
    """(image - mean) / std, in float32.

    mean: a (side, side, 3) mean image, a (3,) color or a number, on a 0-255 scale. Of a mean image, the central part of
        the crop's size is subtracted from every crop, wherever that crop was taken, as in the code of 2012.
    std: a number or a (3,) color. The paper does not divide (1.0). If it is not 1, PCAColor belongs before Normalize,
        since its noise is in gray levels.
    """

    def __init__(self, mean, std=1.0):
        mean = as_array("Normalize", "mean", mean, np.float32)
        self.std = as_array("Normalize", "std", std, np.float32)
        if not np.isfinite(mean).all():
            raise wrong("Normalize", "mean", "finite", mean)
        if mean.shape not in ((), (3,)) and (mean.ndim != 3 or mean.shape[-1] != 3):
            raise DataError(f"Normalize: mean must be a number, a (3,) color or an (S, S, 3) image, got {mean.shape}")
        if self.std.shape not in ((), (3,)) or not np.all(self.std > 0):
            raise wrong("Normalize", "std", "a positive number or (3,) color", std)
        self.mean = _planar(mean)

    def __call__(self, image, rng=None):  # image: (H, W, 3), or (10, H, W, 3) from TenCrop
        check_image("Normalize", image)
        mean = self.mean
        if mean.ndim == 3:
            mean = _central(mean, *image.shape[-3:-1])
        y = np.subtract(_planar(image), mean, dtype=np.float32)
        if np.any(self.std != 1):
            y /= self.std
        return y


class PCAColor:
    """Adds eigenvectors @ (alpha * sqrt(eigenvalues)), alpha ~ N(0, std), to every pixel; float32.

    eigenvalues: (3,), variances on a 0-255 scale. eigenvectors: (3, 3), in columns. std: 0.1 in the paper; 0 turns the
    noise off.
    """

    def __init__(self, eigenvalues, eigenvectors, std=0.1):
        self.eigenvalues = as_array("PCAColor", "eigenvalues", eigenvalues, np.float64)  # (3,)
        self.eigenvectors = as_array("PCAColor", "eigenvectors", eigenvectors, np.float64)  # (3, 3)
        check_number("PCAColor", "std", std, 0)
        self.std = std
        for name, shape in (("eigenvalues", (3,)), ("eigenvectors", (3, 3))):
            array = getattr(self, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise DataError(f"PCAColor: {name} must be finite numbers {shape}, got {array.shape}")
        if not np.all(self.eigenvalues >= 0):
            raise DataError(f"PCAColor: eigenvalues must be variances, not negative, got {self.eigenvalues}")

    @classmethod
    def fit(cls, images, std=0.1):
        """From an iterable of uint8 (H, W, 3) images, of any sizes; a few thousand are plenty.

        Covariance of all their pixels: E[x x^T] - E[x] E[x]^T, accumulated in float64, image by image. Eigenvalues are
        sorted, largest first. The sign of an eigenvector is arbitrary (alpha is symmetric); it is chosen so that the
        largest component is positive.
        """
        pixels, total, products = 0, np.zeros(3), np.zeros((3, 3))
        for image in as_iterable("PCAColor.fit", "images", images):
            check_image("PCAColor.fit", image)
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
        return cls(values, vectors * np.sign(largest), std)

    def __call__(self, image, rng):
        check_image("PCAColor", image)
        check_generator("PCAColor", rng)
        alpha = rng.normal(0, self.std, 3)
        shift = self.eigenvectors @ (alpha * np.sqrt(self.eigenvalues))  # (3,), gray levels
        return np.add(_planar(image), shift.astype(np.float32), dtype=np.float32)


def ten_crop(image, size):
    """Four corners, the center, then the mirror images of these five: (10, size, size, 3).

    image: (H, W, 3). Section 4.1: the network's softmax outputs for the ten are averaged.
    """
    check_image("ten_crop", image)
    check_integer("ten_crop", "size", size, 1)
    y, x = _room(*image.shape[:2], size)
    corners = [(0, 0), (0, x), (y, 0), (y, x), (y // 2, x // 2)]
    crops = np.stack([crop_to(image, (top, left, size)) for top, left in corners])
    return np.concatenate([crops, crops[:, :, ::-1]])


def to_chw(image, rng=None, dtype=np.float32):
    """image (..., H, W, 3) to contiguous (..., 3, H, W) of dtype, the layout of the network's input. rng: not used."""
    check_image("to_chw", image)
    return np.ascontiguousarray(np.moveaxis(image, -1, -3), dtype=dtype)


def _planar(image):
    """The same (..., H, W, 3), but stored one channel after the other, as to_chw needs it in the end.

    NumPy keeps this memory order in its results, and its loops then run along whole rows instead of 3 values at a time.
    """
    return np.moveaxis(to_chw(image, dtype=None), -3, -1) if image.ndim >= 3 else image


def _room(height, width, size):
    """How far a (size, size) patch can move inside an image: down, right."""
    if not 0 < size <= min(height, width):
        raise DataError(f"cannot crop {size} x {size} from an image of {height} x {width}")
    return height - size, width - size


def _central(image, height, width):
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    if min(top, left) < 0:
        raise DataError(f"cannot crop {height} x {width} from a mean image of {image.shape[0]} x {image.shape[1]}")
    return image[top : top + height, left : left + width]
