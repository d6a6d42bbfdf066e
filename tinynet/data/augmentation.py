"""How training images vary: the paper's crops, flips and colors (section 4.1), and two later ideas."""

import numpy as np
from PIL import Image

from tinynet.data.arguments import check_generator, check_image, check_number, wrong
from tinynet.data.transforms import CenterCrop, RandomCrop, RandomHorizontalFlip

AUGMENTATIONS = ("crops", "rotation", "flips", "contrast", "colors")


def augmentation(names, size, colors):
    """(crop, transforms) for a loader. names: some of AUGMENTATIONS, separated by commas; colors: a PCAColor.

    Without crops, every image is its (size, size) center. Raises DataError.
    """
    chosen = [name for name in names.split(",") if name] if isinstance(names, str) else [None]
    if not set(chosen) <= set(AUGMENTATIONS):
        raise wrong("augmentation", "names", f"some of {', '.join(AUGMENTATIONS)}, separated by commas", names)
    parts = {"rotation": RandomRotation(15), "flips": RandomHorizontalFlip(), "contrast": RandomContrast(0.3),
             "colors": colors}  # colors last: its noise is in gray levels, which contrast would scale
    crop = RandomCrop(size) if "crops" in chosen else CenterCrop(size)
    return crop, [part for name, part in parts.items() if name in chosen]


class RandomRotation:
    """The image turned about its center by up to `degrees` either way; the corners are filled with its mean color."""

    def __init__(self, degrees):
        check_number("RandomRotation", "degrees", degrees, 0, 180)
        self.degrees = degrees

    def __call__(self, image, rng):  # image: (H, W, 3)
        check_image("RandomRotation", image)
        check_generator("RandomRotation", rng)
        angle = float(rng.uniform(-self.degrees, self.degrees))
        turned = [
            Image.fromarray(np.asarray(channel, np.float32)).rotate(
                angle, Image.Resampling.BILINEAR, fillcolor=float(channel.mean())
            )
            for channel in image.transpose(2, 0, 1)
        ]
        return np.stack([np.asarray(channel) for channel in turned], axis=2)  # (H, W, 3), float32


class RandomContrast:
    """Every pixel's distance from the image's mean gray level, times 1 - strength to 1 + strength; float32."""

    def __init__(self, strength):
        check_number("RandomContrast", "strength", strength, 0, 1)
        self.strength = strength

    def __call__(self, image, rng):  # image: (H, W, 3)
        check_image("RandomContrast", image)
        check_generator("RandomContrast", rng)
        factor = np.float32(rng.uniform(1 - self.strength, 1 + self.strength))
        mean = image.mean(dtype=np.float32)
        return (image - mean) * factor + mean
