"""The generated data set: deterministic, complete or absent, and neither trivial nor impossible."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinynet.data import DataError, ImageFolder, cache_folder, shapes
from tinynet.data.shapes import CLASSES, CONTRAST, _colors, _coverage

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


def test_an_existing_set_is_not_drawn_again(tmp_path, monkeypatch):
    folder = shapes(tmp_path, **SMALL)
    monkeypatch.setattr("PIL.Image.Image.save", None)
    assert shapes(tmp_path, **SMALL) == folder


def test_an_interrupted_generation_leaves_nothing(tmp_path, monkeypatch):
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


def test_the_default_root_is_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert shapes(train=10, val=10, side=16).parent == cache_folder() == tmp_path / "tinynet"


@pytest.mark.parametrize("wrong, message", [
    ({"train": 9}, "train must be an integer of 10 or more, got 9"),
    ({"val": 0}, "val must be an integer of 10 or more"),
    ({"side": 8}, "side must be an integer of 16 to 9459"), ({"side": 10**20}, "side must be an integer of 16 to 9459"),
    ({"seed": -1}, "seed must be an integer of 0 or more"),
    ({"root": "file/below"}, "cannot write the shapes"),
])
def test_refuses(tmp_path, monkeypatch, wrong, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=message):
        shapes(**{"root": tmp_path} | SMALL | wrong)


def test_color_does_not_tell_the_class(tmp_path):
    """The nearest class mean of average colors is hardly better than chance."""
    folder = shapes(tmp_path, train=400, val=200, side=24)
    train, val = ImageFolder(folder / "train"), ImageFolder(folder / "val")

    def colors(dataset):
        return np.array([dataset.image(i, 24).mean(axis=(0, 1)) for i in range(len(dataset))])

    x, y = colors(train), colors(val)
    means = np.stack([x[train.labels == k].mean(axis=0) for k in range(10)])
    nearest = np.linalg.norm(y[:, None] - means, axis=2).argmin(axis=1)
    assert (nearest == val.labels).mean() < 0.25  # chance is 0.1


def test_shapes_contrast_with_their_background_and_stay_inside():
    rng = np.random.default_rng(0)
    areas = []
    for name in CLASSES:
        for _ in range(20):
            first, second, color = _colors(rng)
            for background in (first, second):
                assert (color - background) @ [0.299, 0.587, 0.114] > CONTRAST - 1e-3
            coverage = _coverage(name, 48, rng)
            assert coverage.min() == 0 and coverage.max() == 1
            areas.append(coverage.mean())
            rows, columns = (np.flatnonzero(coverage.any(axis=k)) for k in (1, 0))
            assert max(np.ptp(rows), np.ptp(columns)) <= 0.8 * 48 + 1
            assert max(np.ptp(rows), np.ptp(columns)) >= 0.35 * 48 * 0.7
    assert min(areas) > 0.01 and max(areas) < 0.52  # the largest disk: pi / 4 * 0.8^2
