"""Pictures to be named: which files they are, and what is known of them."""

from pathlib import Path

import numpy as np
import pytest

from tinynet.data import ImageError
from tinynet.errors import RunError
from tinynet.training.pictures import Pictures, label_of
from toy_images import write_images

CLASSES = ["cat", "sea", "sea_lion", "n02102040"]


@pytest.mark.parametrize("path, label", [
    ("cat/7.png", "cat"), ("cat/sea_7.png", "cat"), ("x/cat.png", "cat"), ("x/cat_7.png", "cat"),
    ("cat-7.png", "cat"), ("x/cat 7.png", "cat"), ("x/n02102040_6.JPEG", "n02102040"), ("x/sea_lion.3.png", "sea_lion"),
    ("x/sea_3.png", "sea"), ("x/catfish_7.png", None), ("x/cat7.png", None), ("x/a_cat.png", None),
    ("cat/x/7.png", None), ("x/Cat.png", None),
])
def test_what_a_name_says(path, label):
    number = {name: i for i, name in enumerate(CLASSES)}
    assert label_of(Path(path), number) == (-1 if label is None else number[label])


def test_a_name_without_a_folder_is_in_the_current_one(tmp_path, monkeypatch):
    (tmp_path / "cat").mkdir()
    monkeypatch.chdir(tmp_path / "cat")
    assert label_of(Path("7.png"), {"cat": 0}) == 0


def test_files_stay_in_order_and_folders_are_sorted(tmp_path):
    write_images(tmp_path, "z.png", "folder/cat/b.png", "folder/cat/a.png", "folder/c.png", "a.png")
    (tmp_path / "folder" / "notes.txt").write_text("not a picture")
    pictures = Pictures([tmp_path / "z.png", tmp_path / "folder", tmp_path / "a.png"], CLASSES)
    names = ["z.png", "folder/c.png", "folder/cat/a.png", "folder/cat/b.png", "a.png"]
    assert [path.relative_to(tmp_path).as_posix() for path in pictures.paths] == names
    assert pictures.labels.tolist() == [-1, -1, 0, 0, -1] and len(pictures) == 5
    assert pictures.image(0, 4).shape == (4, 4, 3) and pictures.image(0, 4).dtype == np.uint8


def test_what_cannot_be_read(tmp_path):
    write_images(tmp_path, "folder/a.png")
    (tmp_path / "folder" / "b.png").write_bytes(b"not an image")
    with pytest.raises(ImageError, match=r"b\.png: not an image"):
        Pictures([tmp_path / "folder" / "b.png"], CLASSES)
    with pytest.raises(ImageError, match=r"none\.png: No such file or directory"):
        Pictures([tmp_path / "none.png"], CLASSES)
    assert len(Pictures([tmp_path / "folder"], CLASSES)) == 2  # the loader counts and lists it
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="empty: there is no picture in this folder"):
        Pictures([tmp_path / "folder" / "a.png", tmp_path / "empty"], CLASSES)
