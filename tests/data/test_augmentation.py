"""How training images vary: which transforms a list of names chooses, and what the two later ones do."""

import numpy as np
import pytest

from tinynet import data
from tinynet.data import RandomContrast, RandomRotation, augmentation

COLORS = data.PCAColor(np.ones(3), np.eye(3))


@pytest.mark.parametrize("names, crop, transforms", [
    ("crops,flips,colors", data.RandomCrop, [data.RandomHorizontalFlip, data.PCAColor]),
    ("", data.CenterCrop, []),
    ("colors,crops,contrast,flips,rotation", data.RandomCrop,
     [RandomRotation, data.RandomHorizontalFlip, RandomContrast, data.PCAColor]),
])
def test_names_choose_the_transforms(names, crop, transforms):
    chosen, others = augmentation(names, 24, COLORS)
    assert type(chosen) is crop and chosen.size == 24
    assert [type(other) for other in others] == transforms


def test_how_far_each_goes():
    rotation, flip, contrast, colors = augmentation("rotation,flips,contrast,colors", 24, COLORS)[1]
    assert (rotation.degrees, flip.p, contrast.strength) == (15, 0.5, 0.3) and colors is COLORS


def test_an_unknown_name_is_named():
    with pytest.raises(data.DataError, match=r"augmentation: names must be some of crops, .*, got 'crops,flip'"):
        augmentation("crops,flip", 24, COLORS)


def test_a_quarter_turn_is_a_quarter_turn(rng):
    image = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    before = image.copy()

    class Fixed:
        def uniform(self, low, high):
            assert (low, high) == (-90, 90)
            return 90.0

    turned = RandomRotation.__call__(RandomRotation(90), image, rng_like(Fixed(), rng))
    np.testing.assert_array_equal(turned, np.rot90(image).astype(np.float32))
    np.testing.assert_array_equal(image, before)


def rng_like(fixed, rng):
    """A Generator whose uniform() is that of `fixed`."""
    generator = np.random.Generator(rng.bit_generator)

    class Patched(np.random.Generator):
        def uniform(self, low, high):
            return fixed.uniform(low, high)

    return Patched(generator.bit_generator)


def test_angles_are_spread_over_the_range(rng):
    """A bright pixel far from the center shows the angle."""
    image = np.zeros((101, 101, 3), np.float32)
    image[48:53, 88:93] = 100
    angles = []
    for _ in range(300):
        pixels = RandomRotation(15)(image, rng)[..., 0] > 50
        y, x = (places.mean() for places in np.nonzero(pixels))
        angles.append(np.degrees(np.arctan2(50 - y, x - 50)))
    assert -15.5 < min(angles) < -14 and 14 < max(angles) < 15.5
    assert abs(np.mean(angles)) < 2 and abs(np.std(angles) - 15 / np.sqrt(3)) < 1


def test_contrast_scales_about_the_mean(rng):
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    factors = []
    for _ in range(300):
        changed = RandomContrast(0.3)(image, rng)
        assert changed.dtype == np.float32
        factors.append(changed.std() / image.std())
        np.testing.assert_allclose(changed, (image - image.mean()) * factors[-1] + image.mean(), atol=0.01)
    assert 0.7 < min(factors) < 0.73 and 1.27 < max(factors) < 1.3
    np.testing.assert_array_equal(RandomContrast(0)(image, rng), image)
