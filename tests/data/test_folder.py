"""ImageFolder, ArrayImages and Cached: one interface, clear errors."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tinynet.data import ArrayImages, Cached, DataError, ImageError, ImageFolder, named, open_images
from tinynet.data.images import save_jpeg
from toy_images import Toy, write_images


def test_classes_paths_and_labels_are_sorted(tmp_path):
    write_images(tmp_path, "dog/b.JPEG", "dog/a.png", "cat/images/1.TIF", "ant/x.Jpg", "cat/0.webp")
    write_images(tmp_path, "dog/.hidden.png", ".git/a.png", "cat/.cache/a.png", "beside.png")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    folder = ImageFolder(tmp_path)
    assert folder.classes == ["ant", "cat", "dog"]
    names = ["ant/x.Jpg", "cat/0.webp", "cat/images/1.TIF", "dog/a.png", "dog/b.JPEG"]
    assert folder.paths == [tmp_path / name for name in names]
    assert folder.labels.tolist() == [0, 1, 1, 2, 2] and folder.labels.dtype == np.int64
    assert len(folder) == 5 and folder.root == tmp_path
    assert folder.image(3, 3).shape == (3, 3, 3)


def test_relative_root(tmp_path, monkeypatch):
    write_images(tmp_path, "data/a/1.png", "data/b/1.png")
    whole = ImageFolder(tmp_path / "data")
    monkeypatch.chdir(tmp_path / "data")
    for root in (".", "../data/", Path("../data")):
        folder = ImageFolder(root)
        assert folder.classes == ["a", "b"] and folder.digest() == whole.digest()
        assert folder.image(0, 2).shape == (2, 2, 3)


def test_digest_depends_on_classes_and_paths_but_not_on_the_root(tmp_path):
    def digest(root, *names):
        write_images(tmp_path / root, *names)
        return ImageFolder(tmp_path / root).digest()

    one = digest("one", "a/1.png", "b/1.png")
    assert one == digest("two", "a/1.png", "b/1.png") and len(one) == 16
    assert one != digest("two", "b/2.png")
    assert one != digest("three", "a/1.png", "c/1.png")


def test_wrong_folders_are_named_in_one_line(tmp_path):
    write_images(tmp_path, "flat/a.png", "whole/train/x/a.png", "whole/val/x/a.png", "gap/a/1.png")
    for empty in ("gap/b", "gap/c", "nothing"):
        (tmp_path / empty).mkdir()
    for name, message in [
        ("missing", "does not exist"), ("flat/a.png", "is a file"), ("nothing", "no class folders"),
        ("flat", "no class folders; expected <folder>/<class>/<images>"),
        ("whole", "splits train, val"), ("gap", "no images in class b, c"),
    ]:
        with pytest.raises(DataError, match=message) as caught:
            ImageFolder(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def test_given_classes_must_be_there_exactly(tmp_path):
    write_images(tmp_path, "a/1.png", "b/1.png")
    assert ImageFolder(tmp_path, ["b", "a"]).labels.tolist() == [1, 0]  # the given numbering
    for classes, message in ((["a", "b", "c"], "missing c, unexpected none"), (["a"], "missing none, unexpected b")):
        with pytest.raises(DataError, match=message):
            ImageFolder(tmp_path, classes)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_linked_classes_are_read_and_loops_end(tmp_path):
    write_images(tmp_path, "elsewhere/1.png", "root/b/1.png")
    (tmp_path / "root" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "b" / "loop").symlink_to(tmp_path / "root")
    folder = ImageFolder(tmp_path / "root")
    names = [path.relative_to(tmp_path / "root").as_posix() for path in folder.paths]
    assert names == ["a/1.png", "b/1.png"]


def test_names_that_are_not_text(tmp_path):
    write_images(tmp_path, "a/1.png")
    try:
        os.rename(tmp_path / "a" / "1.png", os.fsencode(tmp_path) + b"/a/\xff.png")
    except OSError:
        pytest.skip("this file system accepts only text")
    folder = ImageFolder(tmp_path)
    assert len(folder.digest()) == 16 and folder.image(0, 2).shape == (2, 2, 3)


def test_array_images():
    images = Toy(3).pixels
    dataset = ArrayImages(images, np.array([1, 0, 1], np.uint8), ["a", "b"], "toy")
    assert len(dataset) == 3 and dataset.labels.dtype == np.int64 and dataset.paths[2] == Path("toy/2")
    np.testing.assert_array_equal(dataset.image(1, 8), images[1])
    assert not dataset.image(1, 8).flags.writeable and images.flags.writeable
    assert dataset.image(1, 16).shape == (16, 16, 3)
    assert dataset.digest() != ArrayImages(images[::-1], [1, 0, 1], ["a", "b"], "toy").digest()
    assert dataset.digest() == ArrayImages(images.copy(), [1, 0, 1], ["a", "b"]).digest()


@pytest.mark.parametrize("images, labels, message", [
    (Toy(2).pixels.astype(float), [0, 0], "uint8"),
    (Toy(2).pixels[:, :, :, 0], [0, 0], "uint8"),
    (Toy(2).pixels, [0], "2 integers"),
    (Toy(2).pixels, [0.0, 0.5], "2 integers"),
    (Toy(2).pixels, [0, 2], r"0\.\.1, got 0\.\.2"),
    (Toy(2).pixels, [-1, 0], r"got -1\.\.0"),
])
def test_array_images_refuses(images, labels, message):
    with pytest.raises(DataError, match=message):
        ArrayImages(images, labels, ["a", "b"])


def test_a_patch(tmp_path):
    """Of a stored image, of a scaled one, and of a cached one: the same pixels as in the whole."""
    toy = Toy(3)
    (tmp_path / "c").mkdir()
    save_jpeg(np.kron(toy.pixels[0], np.ones((5, 5, 1), np.uint8)), tmp_path / "c" / "a.jpg", 95)
    for dataset in (toy, ImageFolder(tmp_path), Cached(toy, 16), Cached(toy, 8)):
        for side in (8, 16) if not isinstance(dataset, Cached) else (dataset.side,):
            whole, patch = dataset.image(0, side).astype(int), dataset.image(0, side, (1, 0, 3))
            assert patch.shape == (3, 3, 3) and patch.dtype == np.uint8
            assert np.abs(whole[1:4, 0:3] - patch).max() <= 1
    assert not toy.image(0, 8, (1, 0, 3)).flags.writeable
    assert not Cached(toy, 8).image(0, 8, (1, 0, 3)).flags.writeable


def test_cache_reads_once_and_remembers_failures():
    toy = Toy(5, broken=[1])
    cache = Cached(toy, 8)
    for _ in range(3):
        for i in (0, 2, 3):
            got = cache.image(i, 8)
            np.testing.assert_array_equal(got, toy.pixels[i])
            assert not got.flags.writeable
        with pytest.raises(ImageError, match="broken") as caught:
            cache.image(1, 8)
        assert caught.value.path == str(toy.paths[1])
    assert toy.reads.tolist() == [1, 1, 1, 1, 0]
    assert cache.digest() == toy.digest() and len(cache) == 5 and cache.classes == ["a", "b", "c"]
    with pytest.raises(DataError, match="side 8, but side 16 was requested"):
        cache.image(0, 16)


def test_cache_under_many_threads():
    toy = Toy(40)
    cache = Cached(toy, 8)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda i: cache.image(i, 8), list(range(40)) * 10))
    np.testing.assert_array_equal(np.stack(got), np.concatenate([toy.pixels] * 10))


def test_open_images_keeps_small_data_sets_in_memory(tmp_path, monkeypatch):
    write_images(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png", "val/b/1.png")
    bytes_in_all = 4 * 8 * 8 * 3
    for limit, kind in ((named.SMALL, Cached), (bytes_in_all + 1, Cached), (bytes_in_all, ImageFolder)):
        monkeypatch.setattr(named, "SMALL", limit)
        for dataset, split in zip(open_images(tmp_path, 8), ("train", "val"), strict=True):
            assert type(dataset) is kind and dataset.root == tmp_path / split and len(dataset) == 2
            assert dataset.image(1, 8).shape == (8, 8, 3)
    write_images(tmp_path, "val/c/1.png")
    with pytest.raises(DataError, match="unexpected c"):
        open_images(tmp_path, 8)
