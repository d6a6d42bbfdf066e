"""Transforms, each against explicit slices or numpy.linalg."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinynet.data import DataError, ten_crop, to_chw
from tinynet.data.transforms import CenterCrop, Compose, Normalize, PCAColor, RandomCrop, RandomHorizontalFlip, TenCrop

SIZES = st.integers(1, 12)


def numbered(height, width):
    """Each pixel's channels are its row, its column and a constant."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([y, x, 0 * x + 7], axis=2).astype(np.uint8)


def test_random_crop_takes_every_position_equally_often():
    image = numbered(7, 6)
    rng = np.random.default_rng(0)
    crop, counts = RandomCrop(5), np.zeros((3, 2), int)
    for _ in range(3000):
        got = crop(image, rng)
        y, x = got[0, 0, :2]
        np.testing.assert_array_equal(got, image[y : y + 5, x : x + 5])
        counts[y, x] += 1
    assert abs(counts - 500).max() < 100  # 4.9 standard deviations


@settings(max_examples=50)
@given(SIZES, SIZES, SIZES, st.integers(0, 99))
def test_crops_fit_or_say_why_not(height, width, size, seed):
    image, rng = numbered(height, width), np.random.default_rng(seed)
    if size > min(height, width):
        for crop in (RandomCrop(size), CenterCrop(size), TenCrop(size)):
            with pytest.raises(DataError, match=f"{height} x {width}"):
                crop(image, rng)
        return
    assert RandomCrop(size)(image, rng).shape == (size, size, 3)
    y, x = (height - size) // 2, (width - size) // 2
    np.testing.assert_array_equal(CenterCrop(size)(image), image[y : y + size, x : x + size])
    assert TenCrop(size)(image).shape == (10, size, size, 3)


def test_flip():
    image = numbered(3, 4)
    np.testing.assert_array_equal(RandomHorizontalFlip(1)(image, np.random.default_rng(0)), image[:, ::-1])
    assert RandomHorizontalFlip(0)(image, np.random.default_rng(0)) is image
    rng = np.random.default_rng(0)
    flips = sum(RandomHorizontalFlip()(image, rng)[0, 0, 1] == 3 for _ in range(1000))
    assert 420 < flips < 580


def test_ten_crop_against_slices():
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    five = [image[:4, :4], image[:4, 7:], image[5:, :4], image[5:, 7:], image[2:6, 3:7]]
    expected = five + [crop[:, ::-1] for crop in five]
    np.testing.assert_array_equal(ten_crop(image, 4), np.stack(expected))


def test_normalize_takes_the_center_of_a_mean_image():
    mean = np.random.default_rng(0).uniform(0, 255, (8, 8, 3)).astype(np.float32)
    crop = numbered(4, 4)
    got = Normalize(mean)(crop)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, crop.astype(np.float32) - mean[2:6, 2:6])
    ten = np.stack([crop + i for i in range(10)])
    np.testing.assert_array_equal(Normalize(mean)(ten)[3], Normalize(mean)(ten[3]))


def test_the_center_of_a_mean_image_that_is_not_square():
    got = Normalize(numbered(6, 10).astype(float))(numbered(6, 10)[1:5, 3:7])
    assert (got == 0).all()


def test_normalize_with_a_color_a_number_and_a_std():
    image = np.full((2, 2, 3), 10, np.uint8)
    assert (Normalize(20)(image) == -10).all()  # no wrap-around of unsigned bytes
    np.testing.assert_array_equal(Normalize([1, 2, 3], 2.0)(image)[0, 0], [4.5, 4, 3.5])
    np.testing.assert_array_equal(Normalize(0, [1, 2, 5])(image)[0, 0], [10, 5, 2])


@pytest.mark.parametrize("refused, message", [
    (lambda: Normalize([1, 2]), r"mean must be .* got \(2,\)"),
    (lambda: Normalize(np.zeros((4, 4))), r"mean must be .* got \(4, 4\)"),
    (lambda: Normalize(0, 0), "std must be"),
    (lambda: Normalize(0, [1, -1, 1]), "std must be"),
    (lambda: Normalize(np.zeros((2, 2, 3)))(numbered(4, 4)), "4 x 4 from a mean image of 2 x 2"),
    (lambda: PCAColor.fit([]), "at least one"),
    (lambda: PCAColor([1, 1, -1], np.eye(3)), "negative"),
    (lambda: PCAColor([1, 1], np.eye(3)), r"got \(2,\)"),
])
def test_refuses(refused, message):
    with pytest.raises(DataError, match=message):
        refused()


def test_pca_fit_against_numpy():
    rng = np.random.default_rng(0)
    mix = np.array([[20, 15, 5], [20, -3, 9], [18, -10, 2]])
    images = [(128 + rng.normal(size=(h, 30, 3)) @ mix.T).clip(0, 255).astype(np.uint8) for h in (20, 35, 50)]
    color = PCAColor.fit(iter(images))
    pixels = np.concatenate([image.reshape(-1, 3) for image in images])
    covariance = np.cov(pixels.T.astype(float), bias=True)
    vectors, values = color.eigenvectors, color.eigenvalues
    np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.T, covariance, rtol=1e-9)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(covariance)[::-1])
    largest = np.abs(vectors).argmax(axis=0)
    assert (vectors[largest, range(3)] > 0).all()


def test_pca_shift_has_a_hundredth_of_the_covariance_of_the_pixels():
    """Covariance of the shift = std^2 * covariance of the pixels. As printed in the paper: too large by lambda."""
    covariance = np.array([[900, 500, 300], [500, 800, 400], [300, 400, 700]], float)
    values, vectors = np.linalg.eigh(covariance)
    color, rng = PCAColor(values, vectors), np.random.default_rng(0)
    image = np.zeros((1, 1, 3), np.uint8)
    shifts = np.array([color(image, rng)[0, 0] for _ in range(20_000)])
    np.testing.assert_allclose(np.cov(shifts.T), 0.01 * covariance, rtol=0.07)
    assert np.abs(shifts.mean(axis=0)).max() < 0.1


def test_pca_adds_one_color_to_the_whole_image():
    color = PCAColor([900, 100, 4], np.eye(3), std=0.2)
    image = numbered(5, 6)
    shift = color(image, np.random.default_rng(3)) - image
    assert shift.dtype == np.float32
    assert np.ptp(shift, axis=(0, 1)).max() < 1e-5 and np.abs(shift[0, 0]).max() > 0.1
    alpha = np.random.default_rng(3).normal(0, 0.2, 3)
    np.testing.assert_allclose(shift[0, 0], alpha * [30, 10, 2], rtol=1e-4)


def test_pca_of_gray_images():
    gray = np.repeat(numbered(6, 6)[:, :, :1], 3, axis=2)
    values = PCAColor.fit([gray]).eigenvalues
    assert values[0] > 1 and (values >= 0).all() and values[1] < 1e-9


def test_pipelines_leave_the_image_alone_and_repeat():
    image = numbered(12, 12)
    image.flags.writeable = False  # a transform that writes to it would raise
    before = image.copy()
    mean = np.full((12, 12, 3), 5, np.float32)
    color = PCAColor([900, 100, 4], np.eye(3))
    train = Compose([RandomCrop(8), RandomHorizontalFlip(), Normalize(mean, 1.1), color, to_chw])
    first, second = (train(image, np.random.default_rng(5)) for _ in range(2))
    assert first.shape == (3, 8, 8) and first.dtype == np.float32 and first.flags.c_contiguous
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, train(image, np.random.default_rng(6)))
    test = Compose([TenCrop(8), Normalize(mean), to_chw])
    assert test(image).shape == (10, 3, 8, 8)
    np.testing.assert_array_equal(test(image)[4, 1], before[2:10, 2:10, 1] - 5.0)
    np.testing.assert_array_equal(image, before)
    image = np.zeros((3, 3, 3), np.float32)
    image.flags.writeable = False
    Compose([Normalize(1), color])(image, np.random.default_rng(0))
