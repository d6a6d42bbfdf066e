"""ImageFolder, ArrayImages and Cached: one interface, clear errors."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinynet.data import ArrayImages, Cached, DataError, ImageError, ImageFolder
from tinynet.data.images import save_jpeg


def write(root, *names):
    for name in names:
        path = Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4)).save(path, "PNG")


def test_classes_paths_and_labels_are_sorted(tmp_path):
    write(tmp_path, "dog/b.JPEG", "dog/a.png", "cat/images/1.TIF", "ant/x.Jpg", "cat/0.webp")
    write(tmp_path, "dog/.hidden.png", ".git/a.png", "cat/.cache/a.png", "beside.png")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    folder = ImageFolder(tmp_path)
    assert folder.classes == ["ant", "cat", "dog"]
    names = ["ant/x.Jpg", "cat/0.webp", "cat/images/1.TIF", "dog/a.png", "dog/b.JPEG"]
    assert folder.paths == [tmp_path / name for name in names]
    assert folder.labels.tolist() == [0, 1, 1, 2, 2] and folder.labels.dtype == np.int64
    assert len(folder) == 5 and folder.root == tmp_path
    assert folder.image(3, 3).shape == (3, 3, 3)


def test_relative_root(tmp_path, monkeypatch):
    write(tmp_path, "data/a/1.png", "data/b/1.png")
    whole = ImageFolder(tmp_path / "data")
    monkeypatch.chdir(tmp_path / "data")
    for root in (".", "../data/", Path("../data")):
        folder = ImageFolder(root)
        assert folder.classes == ["a", "b"] and folder.digest() == whole.digest()
        assert folder.image(0, 2).shape == (2, 2, 3)


def test_digest_depends_on_classes_and_paths_but_not_on_the_root(tmp_path):
    def digest(root, *names):
        write(tmp_path / root, *names)
        return ImageFolder(tmp_path / root).digest()

    one = digest("one", "a/1.png", "b/1.png")
    assert one == digest("two", "a/1.png", "b/1.png") and len(one) == 16
    assert one != digest("two", "b/2.png")
    assert one != digest("three", "a/1.png", "c/1.png")


def test_wrong_folders_are_named_in_one_line(tmp_path):
    write(tmp_path, "flat/a.png", "whole/train/x/a.png", "whole/val/x/a.png", "gap/a/1.png")
    for empty in ("gap/b", "gap/c", "nothing"):
        (tmp_path / empty).mkdir()
    for name, message in [
        ("missing", "does not exist"),
        ("flat/a.png", "is a file"),
        ("flat", "no class folders; expected <folder>/<class>"),
        ("nothing", "no class folders"),
        ("whole", "splits train, val"),
        ("gap", "no images in class b, c"),
    ]:
        with pytest.raises(DataError, match=message) as caught:
            ImageFolder(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def test_given_classes_must_be_there_exactly(tmp_path):
    write(tmp_path, "a/1.png", "b/1.png")
    assert ImageFolder(tmp_path, ["b", "a"]).labels.tolist() == [1, 0]  # the given numbering
    for classes, message in ((["a", "b", "c"], "missing c, unexpected none"), (["a"], "missing none, unexpected b")):
        with pytest.raises(DataError, match=message):
            ImageFolder(tmp_path, classes)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_linked_classes_are_read_and_loops_end(tmp_path):
    write(tmp_path, "elsewhere/1.png", "root/b/1.png")
    (tmp_path / "root" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "b" / "loop").symlink_to(tmp_path / "root")
    folder = ImageFolder(tmp_path / "root")
    names = [path.relative_to(tmp_path / "root").as_posix() for path in folder.paths]
    assert names == ["a/1.png", "b/1.png"]


def test_names_that_are_not_text(tmp_path):
    write(tmp_path, "a/1.png")
    try:
        os.rename(tmp_path / "a" / "1.png", os.fsencode(tmp_path) + b"/a/\xff.png")
    except OSError:
        pytest.skip("this file system accepts only text")
    folder = ImageFolder(tmp_path)
    assert len(folder.digest()) == 16 and folder.image(0, 2).shape == (2, 2, 3)


def random_images(n):
    return np.random.default_rng(0).integers(0, 256, (n, 4, 4, 3), np.uint8)


def test_array_images():
    images = random_images(3)
    data = ArrayImages(images, np.array([1, 0, 1], np.uint8), ["a", "b"], "toy")
    assert len(data) == 3 and data.labels.dtype == np.int64 and data.paths[2] == Path("toy/2")
    np.testing.assert_array_equal(data.image(1, 4), images[1])
    assert not data.image(1, 4).flags.writeable and images.flags.writeable
    assert data.image(1, 8).shape == (8, 8, 3)
    other = ArrayImages(images[::-1], [1, 0, 1], ["a", "b"], "toy")
    assert data.digest() != other.digest()
    assert data.digest() == ArrayImages(images.copy(), [1, 0, 1], ["a", "b"]).digest()


@pytest.mark.parametrize("images, labels, message", [
    (random_images(2).astype(float), [0, 0], "uint8"),
    (random_images(2)[:, :, :, 0], [0, 0], "uint8"),
    (random_images(2), [0], "2 integers"),
    (random_images(2), [0.0, 0.5], "2 integers"),
    (random_images(2), [0, 2], r"0\.\.1, got 0\.\.2"),
    (random_images(2), [-1, 0], r"got -1\.\.0"),
])
def test_array_images_refuses(images, labels, message):
    with pytest.raises(DataError, match=message):
        ArrayImages(images, labels, ["a", "b"])


def test_a_patch(tmp_path):
    """Of a stored image, of a scaled one, and of a cached one: the same pixels as in the whole."""
    images = random_images(3)
    (tmp_path / "c").mkdir()
    save_jpeg(np.kron(images[0], np.ones((5, 5, 1), np.uint8)), tmp_path / "c" / "a.jpg", 95)
    memory = ArrayImages(images, np.zeros(3, int), ["a"])
    for dataset in (memory, ImageFolder(tmp_path), Cached(memory, 8), Cached(memory, 4)):
        for side in (4, 8) if not isinstance(dataset, Cached) else (dataset.side,):
            whole, patch = dataset.image(0, side).astype(int), dataset.image(0, side, (1, 0, 3))
            assert patch.shape == (3, 3, 3) and patch.dtype == np.uint8
            assert np.abs(whole[1:4, 0:3] - patch).max() <= 1
    assert not memory.image(0, 4, (1, 0, 3)).flags.writeable
    assert not Cached(memory, 4).image(0, 4, (1, 0, 3)).flags.writeable


class Counting(ArrayImages):
    """Counts its reads; image 1 cannot be read."""

    def __init__(self, images):
        super().__init__(images, np.zeros(len(images), int), ["a"])
        self.reads = np.zeros(len(images), int)

    def image(self, i, side, patch=None):
        self.reads[i] += 1
        if i == 1:
            raise ImageError(self.paths[i], "broken")
        return super().image(i, side, patch)


def test_cache_reads_once_and_remembers_failures():
    images = random_images(5)
    dataset = Counting(images)
    cache = Cached(dataset, 4)
    for _ in range(3):
        for i in (0, 2, 3):
            got = cache.image(i, 4)
            np.testing.assert_array_equal(got, images[i])
            assert not got.flags.writeable
        with pytest.raises(ImageError, match="broken") as caught:
            cache.image(1, 4)
        assert caught.value.path == str(dataset.paths[1])
    assert dataset.reads.tolist() == [1, 1, 1, 1, 0]
    assert cache.digest() == dataset.digest() and len(cache) == 5 and cache.classes == ["a"]
    with pytest.raises(DataError, match="side 4, but side 8 was requested"):
        cache.image(0, 8)


def test_cache_under_many_threads():
    images = random_images(40)
    cache = Cached(ArrayImages(images, np.zeros(40, int), ["a"]), 4)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda i: cache.image(i, 4), list(range(40)) * 10))
    np.testing.assert_array_equal(np.stack(got), np.concatenate([images] * 10))
