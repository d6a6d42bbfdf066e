"""What normalization and color noise are fitted on: which images, how many, and the same values as NumPy's."""

import numpy as np
import pytest

from tinynet.data import DataError, PCAColor, fit_statistics, mean_image, statistics
from toy_images import Toy


@pytest.mark.parametrize("most, most_colors", [(2000, 500), (20, 6), (3, 500)])
def test_fitted_on_the_readable_ones_of_those_drawn(monkeypatch, capsys, most, most_colors):
    assert (statistics.MEAN_IMAGES, statistics.COLOR_IMAGES) == (2000, 500)
    monkeypatch.setattr(statistics, "MEAN_IMAGES", most)
    monkeypatch.setattr(statistics, "COLOR_IMAGES", most_colors)
    toy = Toy(40, broken=range(0, 40, 3))
    mean, color = fit_statistics(toy, 8, seed=7)
    drawn = sorted(np.random.default_rng(7).permutation(40)[:most])
    sample = toy.pixels[[i for i in drawn if i % 3]]
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(mean, sample.mean(axis=0).astype(np.float32))
    expected = PCAColor.fit(sample[:most_colors])
    np.testing.assert_array_equal(color.eigenvalues, expected.eigenvalues)
    np.testing.assert_array_equal(color.eigenvectors, expected.eigenvectors)
    assert color.std == 0.1 and capsys.readouterr() == ("", "")


def test_progress_and_what_cannot_be_fitted(capsys):
    fit_statistics(Toy(40), 8, seed=7, progress=True)
    assert "mean and colors" in capsys.readouterr().err
    with pytest.raises(DataError, match="at least one"):
        fit_statistics(Toy(40, broken=range(40)), 8, seed=7)


def test_mean_image():
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 4, 3), np.uint8)
    got = mean_image(iter(images))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, images.mean(axis=0), rtol=1e-6)
    for refused, message in (([], "at least one"), ([images[0], images[0][:2]], "one size")):
        with pytest.raises(DataError, match=message):
            mean_image(refused)
