"""The generated data set: deterministic, whole or absent, and neither trivial nor impossible."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinynet.data import DataError, ImageFolder, cache_folder, shapes
from tinynet.data.shapes import CLASSES, CONTRAST, _colors, _cover

SMALL = {"train": 40, "val": 10, "side": 32}


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.JPEG")}


def test_layout_and_determinism(tmp_path):
    folder = shapes(tmp_path / "one", **SMALL)
    train = ImageFolder(folder / "train")
    val = ImageFolder(folder / "val", train.classes)
    assert len(train.classes) == 10
    assert np.bincount(train.labels).tolist() == [4] * 10
    assert np.bincount(val.labels).tolist() == [1] * 10
    with Image.open(train.paths[0]) as image:
        assert image.format == "JPEG" and image.size == (32, 32)
    files = contents(folder)
    assert len(set(files.values())) == 50  # no two alike
    assert contents(shapes(tmp_path / "two", **SMALL)) == files
    other = shapes(tmp_path / "one", **SMALL, seed=1)
    assert other != folder and not set(contents(other).values()) & set(files.values())


def test_a_set_that_is_there_is_not_drawn_again(tmp_path, monkeypatch):
    folder = shapes(tmp_path, **SMALL)
    monkeypatch.setattr("PIL.Image.Image.save", None)
    assert shapes(tmp_path, **SMALL) == folder


def test_a_generation_cut_short_leaves_nothing(tmp_path, monkeypatch):
    saved, write = [], Path.write_bytes

    def disk_full(path, data):
        saved.append(path)
        if len(saved) == 20:
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr("pathlib.Path.write_bytes", disk_full)
    with pytest.raises(DataError, match="No space left on device"):
        shapes(tmp_path, **SMALL)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert len(contents(shapes(tmp_path, **SMALL))) == 50


def test_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "tinynet"
    assert shapes(train=10, val=10, side=16).parent == tmp_path / "tinynet"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder().parts[-2:] == (".cache", "tinynet")


@pytest.mark.parametrize("wrong", [{"train": 9}, {"val": 0}, {"side": 8}, {"seed": -1}])
def test_refuses(tmp_path, wrong):
    with pytest.raises(DataError, match="10 or more"):
        shapes(tmp_path, **wrong)


def test_an_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write the shapes"):
        shapes(tmp_path / "file" / "below", **SMALL)


def test_color_does_not_tell_the_class(tmp_path):
    """The nearest class mean, on average colors, is hardly better than chance."""
    folder = shapes(tmp_path, train=400, val=200, side=24)
    train, val = ImageFolder(folder / "train"), ImageFolder(folder / "val")

    def colors(data):
        return np.array([data.image(i, 24).mean(axis=(0, 1)) for i in range(len(data))])

    x, y = colors(train), colors(val)
    means = np.stack([x[train.labels == k].mean(axis=0) for k in range(10)])
    nearest = np.linalg.norm(y[:, None] - means, axis=2).argmin(axis=1)
    assert (nearest == val.labels).mean() < 0.25  # chance is 0.1


def test_shapes_contrast_with_their_background_and_stay_inside():
    rng = np.random.default_rng(0)
    covered = {name: [] for name in CLASSES}
    for name in CLASSES:
        for _ in range(20):
            first, second, color = _colors(rng)
            for background in (first, second):
                assert (color - background) @ [0.299, 0.587, 0.114] > CONTRAST - 1e-3
            cover = _cover(name, 48, rng)
            assert cover.min() == 0 and cover.max() == 1
            covered[name].append(cover.mean())
            rows, columns = (np.flatnonzero(cover.any(axis=k)) for k in (1, 0))
            assert max(np.ptp(rows), np.ptp(columns)) <= 0.8 * 48 + 1
            assert max(np.ptp(rows), np.ptp(columns)) >= 0.35 * 48 * 0.7
    assert min(min(c) for c in covered.values()) > 0.01
    assert max(max(c) for c in covered.values()) < 0.52  # the largest disc: pi / 4 * 0.8^2
