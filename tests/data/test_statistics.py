"""What normalization and color noise are fitted on: which images, how many, and the same values as NumPy's."""

import numpy as np
import pytest

from tinynet.data import DataError, DataLoader, PCAColor, fit_statistics, mean_image, statistics, to_chw
from toy_images import Toy


@pytest.mark.parametrize("most, most_colors", [(2000, 500), (20, 6), (3, 500)])
def test_fitted_on_the_readable_ones_of_those_drawn(monkeypatch, capsys, most, most_colors):
    assert (statistics.MEAN_IMAGES, statistics.COLOR_IMAGES) == (2000, 500)
    monkeypatch.setattr(statistics, "MEAN_IMAGES", most)
    monkeypatch.setattr(statistics, "COLOR_IMAGES", most_colors)
    toy = Toy(40, broken=range(0, 40, 3))
    mean, color = fit_statistics(toy, 8, seed=7)
    drawn = sorted(np.random.default_rng((7, 0, 0, 1)).permutation(40)[:most])
    sample = toy.pixels[[i for i in drawn if i % 3]]
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(mean, sample.mean(axis=0).astype(np.float32))
    expected = PCAColor.fit(sample[:most_colors])
    np.testing.assert_array_equal(color.eigenvalues, expected.eigenvalues)
    np.testing.assert_array_equal(color.eigenvectors, expected.eigenvectors)
    assert color.std == 0.1 and capsys.readouterr() == ("", "")


@pytest.mark.parametrize("seed", [0, 9, 2**32 + 9])
def test_no_random_stream_is_used_twice(monkeypatch, seed):
    """NumPy pads seeds with zeros: (seed), (seed, 0) and (seed, 0, 0) are one stream."""
    states, default_rng = [], np.random.default_rng

    def spy(*seeds):
        rng = default_rng(*seeds)
        states.append(rng.bit_generator.state["state"]["state"])
        return rng

    monkeypatch.setattr(np.random, "default_rng", spy)
    toy = Toy(5)
    del states[:]  # Toy's pixels
    fit_statistics(toy, 8, seed)
    loader = DataLoader(toy, 2, to_chw, shuffle=True, seed=seed, side=8)
    for _ in range(3):
        list(loader)
    assert len(states) == len(set(states)) == 1 + 3 * (1 + 5)  # statistics; for each epoch, its order and images


def test_progress_and_what_cannot_be_fitted(capsys):
    fit_statistics(Toy(40), 8, seed=7, progress=True)
    assert "mean and colors" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"^toy: none of 40 images tried can be read; the first: toy/0: broken$"):
        fit_statistics(Toy(40, broken=range(40)), 8, seed=7)
    with pytest.raises(DataError, match=r"^toy: none of 0 images tried can be read$"):
        fit_statistics(Toy(0), 8, seed=7)


def test_mean_image():
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 4, 3), np.uint8)
    got = mean_image(iter(images))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, images.mean(axis=0), rtol=1e-6)
    for refused, message in (([], "at least one"), ([images[0], images[0][:2]], "one size")):
        with pytest.raises(DataError, match=message):
            mean_image(refused)
