"""python -m tinynet.data.prepare on ImageNet's archives: tiny ones, of the same form."""

import gzip
import io
import re
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tinynet.data import DataError, ImageFolder
from tinynet.data.ilsvrc import DEVKIT, LABELS, META, TRAIN, VAL, find_archived
from tinynet.data.prepare import main, prepare

scipy_io = pytest.importorskip("scipy.io", reason="needs SciPy, which reads meta.mat: pip install scipy")

CLASSES = {2: "n00000010", 1: "n00000020", 3: "n00000030"}  # not in the order of their numbers, as in the devkit
LABELS_OF_VAL = [3, 1, 2, 1]


def image(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((70, 50)).save(file, "JPEG")
    return file.getvalue()


def tar(members, times=1):
    """members: {name: bytes}, or TarInfo for what is no file. times: how often each is in it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in list(members.items()) * times:
            info = tarfile.TarInfo(name)
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def meta(classes):
    """meta.mat: the classes, and one that has two of them as children."""
    fields = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("num_children", object)]
    rows = [(float(number), wnid, "a thing", 0.0) for number, wnid in sorted(classes.items())]
    file = io.BytesIO()
    scipy_io.savemat(file, {"synsets": np.array([*rows, (4.0, "n99999999", "any", 2.0)], fields)[:, None]})
    return file.getvalue()


def train_images():
    return {wnid: {f"{wnid}_{i}.JPEG": image(number * 10 + i) for i in (7, 26)} for number, wnid in CLASSES.items()}


def val_images():
    return {f"ILSVRC2012_val_{i:08}.JPEG": image(i) for i in range(1, len(LABELS_OF_VAL) + 1)}


def archives(folder, train=None, val=None, labels=None, classes=CLASSES):
    """Writes the three archives. train: {class: {name: bytes}}, val: {name: bytes}, labels: text."""
    folder.mkdir(exist_ok=True)
    train = train_images() if train is None else train
    labels = "".join(f"{label}\n" for label in LABELS_OF_VAL) if labels is None else labels
    (folder / TRAIN).write_bytes(tar({f"{wnid}.tar": tar(images) for wnid, images in train.items()}))
    (folder / VAL).write_bytes(tar(val_images() if val is None else val))
    top = tarfile.TarInfo("ILSVRC2012_devkit_t12/data")
    top.type = tarfile.DIRTYPE
    devkit = {"top": top, f"ILSVRC2012_devkit_t12/{LABELS}": labels.encode(),
              f"ILSVRC2012_devkit_t12/{META}": meta(classes)}
    (folder / DEVKIT).write_bytes(gzip.compress(tar(devkit)))
    return folder


def unpacked(folder):
    """The same images as a tree."""
    tree = {f"train/{wnid}/{name}": data for wnid, images in train_images().items() for name, data in images.items()}
    for label, (name, data) in zip(LABELS_OF_VAL, val_images().items(), strict=True):
        tree[f"val/{CLASSES[label]}/{name}"] = data
    for name, data in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_archives_give_the_same_files_as_the_unpacked_tree(tmp_path, capsys):
    source, target = archives(tmp_path / "archives"), tmp_path / "256"
    assert main([str(source), str(target), "--side", "32", "--workers", "2"]) == 0
    assert capsys.readouterr().out == "10 prepared, 0 already there, 0 unreadable\n"
    prepare(unpacked(tmp_path / "tree"), tmp_path / "expected", 32, workers=1, progress=False)
    assert files(target) == files(tmp_path / "expected") != {}
    train = ImageFolder(target / "train")
    assert len(ImageFolder(target / "val", train.classes)) == 4 and train.classes == sorted(CLASSES.values())


def test_it_continues_where_it_stopped_and_lists_what_cannot_be_read(tmp_path):
    train = train_images()
    train["n00000010"]["n00000010_7.JPEG"] = b"<html>"
    source, target = archives(tmp_path / "archives", train), tmp_path / "256"
    assert prepare(source, target, 32, workers=1, progress=False) == (9, 0, 1)
    assert (target / "unreadable.txt").read_text().startswith("train/n00000010/n00000010_7.JPEG\tnot an image")
    (target / "val/n00000030/ILSVRC2012_val_00000001.JPEG").unlink()
    archives(source)  # now the good ones
    assert prepare(source, target, 32, workers=1, progress=False) == (2, 8, 0)
    assert not (target / "unreadable.txt").exists()
    assert prepare(source, target, 32, workers=1, progress=False) == (0, 10, 0)


def with_link(name):
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return {name: link}


def refused(capsys, source, target):
    """The one line that a call ends with, before anything is made."""
    assert main([str(source), str(target)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and len(err) < 500 and not target.exists()
    return err


@pytest.mark.parametrize("changes, message", [
    ({"labels": "3\n1\n2\n"}, f"{VAL} has 4 images, expected one for each of the 3 labels in"),
    ({"labels": "3\n1\n2\n1\n1\n"}, f"{VAL} has 4 images, expected one for each of the 5 labels in"),
    ({"labels": "3\n1\n2\n4\n"}, f"label 4 in {LABELS} is '4', expected one of the 3 numbers in"),  # 4 has children
    ({"labels": "3\n1\n2\nx\n"}, f"label 4 in {LABELS} is 'x', expected"),
    ({"val": val_images() | {"../ILSVRC2012_val_00000005.JPEG": b""}}, "contains '../ILSVRC2012_val_00000005.JPEG'"),
    ({"val": val_images() | {"/a/ILSVRC2012_val_00000005.JPEG": b""}}, "contains '/a/ILSVRC2012_val_00000005.JPEG'"),
    ({"val": val_images() | with_link("ILSVRC2012_val_00000005.JPEG")}, "contains 'ILSVRC2012_val_00000005.JPEG'"),
    ({"val": {name.replace("4", "0"): data for name, data in val_images().items()}}, f"{VAL} has 4 images, expected"),
    ({"train": train_images() | {"../n00000040": {}}}, f"{TRAIN} contains '../n00000040.tar', expected"),
    ({"train": train_images() | {"n00000010": {"n00000020_7.JPEG": b""}}}, "n00000010.tar contains 'n00000020_7.JPEG'"),
    ({"train": train_images() | {"n00000010": {"../n00000010_7.JPEG": b""}}}, "contains '../n00000010_7.JPEG'"),
    ({"train": train_images() | {"n00000010": with_link("n00000010_7.JPEG")}}, "contains 'n00000010_7.JPEG'"),
    ({"train": train_images() | {"n00000040": {"n00000040_7.JPEG": b""}}}, "has 4 classes and"),
    ({"train": {"n00000010": {}, "n00000030": {}}}, "has 2 classes and"),
    ({"classes": {1: "n00000010", 2: "n00000010", 3: "n00000030"}}, "two numbers"),
    ({"classes": CLASSES | {3: "../../etc"}}, "contains '../../etc', expected WordNet IDs like n01440764"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, capsys, changes, message):
    assert message in refused(capsys, archives(tmp_path / "archives", **changes), tmp_path / "256")


@pytest.mark.parametrize("name", [TRAIN, VAL, DEVKIT])
@pytest.mark.parametrize("part", [0, 0.02, 0.5, 0.99])
def test_an_archive_that_is_cut_off_is_refused(tmp_path, capsys, name, part):
    path = archives(tmp_path / "archives") / name
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data[: int(part * len(data))])
    assert f"{name} is cut off or damaged" in refused(capsys, tmp_path / "archives", tmp_path / "256")


def test_an_archive_that_is_cut_off_between_two_images_is_refused(tmp_path, capsys):
    path = archives(tmp_path / "archives") / VAL
    path.write_bytes(path.read_bytes()[: 512 + -(-len(image(1)) // 512) * 512])  # the first image, whole
    assert f"{VAL} is cut off or damaged" in refused(capsys, tmp_path / "archives", tmp_path / "256")


@pytest.mark.parametrize("name, data", [
    (VAL, tar(val_images(), times=2)),
    (TRAIN, tar({"n00000010.tar": tar({"n00000010_7.JPEG": b""})}, times=2)),
    (TRAIN, tar({"n00000010.tar": tar({"n00000010_7.JPEG": b""}, times=2)})),
], ids=["val", "class", "image"])  # fmt: skip
def test_no_name_comes_twice(tmp_path, capsys, name, data):
    (archives(tmp_path / "archives") / name).write_bytes(data)
    assert refused(capsys, tmp_path / "archives", tmp_path / "256").endswith(" twice\n")  # tmp_path contains the word


def test_a_damaged_header_in_a_class_is_refused(tmp_path, capsys):
    path = archives(tmp_path / "archives") / TRAIN
    path.write_bytes(path.read_bytes().replace(b"n00000030_26.JPEG", b"n00000030_27.JPEG"))  # against the checksum
    assert "n00000030.tar is cut off or damaged" in refused(capsys, tmp_path / "archives", tmp_path / "256")


@pytest.mark.parametrize("missing", [[TRAIN], [VAL], [DEVKIT], [TRAIN, DEVKIT]])
def test_all_three_archives_are_needed(tmp_path, capsys, missing):
    source = archives(tmp_path / "archives")
    for name in missing:
        (source / name).unlink()
    message = f"lacks {' and '.join(missing)}: all three archives of ILSVRC2012 are needed"
    assert message in refused(capsys, source, tmp_path / "256")


def test_a_half_unpacked_folder_is_refused(tmp_path, capsys):
    unpacked(archives(tmp_path / "archives"))
    assert "and also images" in refused(capsys, tmp_path / "archives", tmp_path / "256")


def test_a_devkit_without_its_files_is_refused(tmp_path, capsys):
    path = archives(tmp_path / "archives") / DEVKIT
    path.write_bytes(gzip.compress(tar({"ILSVRC2012_devkit_t12/readme.txt": b"", f"top/{META}": b"not MATLAB's"})))
    assert f"does not contain {LABELS}" in refused(capsys, tmp_path / "archives", tmp_path / "256")
    path.write_bytes(gzip.compress(tar({f"top/{LABELS}": b"1\n", f"top/{META}": b"not MATLAB's"})))
    assert f"cannot read {META} in" in refused(capsys, tmp_path / "archives", tmp_path / "256")


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_damaged_bytes_are_a_data_error_or_safe_names(data):
    """Headers are what matters here, so bytes are changed in one of them."""
    with tempfile.TemporaryDirectory() as folder:
        path = archives(Path(folder)) / data.draw(st.sampled_from([TRAIN, VAL]))
        content = bytearray(path.read_bytes())
        headers = [i for i in range(0, len(content), 512) if content[i + 257 : i + 262] == b"ustar"]
        start = data.draw(st.sampled_from(headers))
        for _ in range(data.draw(st.integers(1, 3))):
            content[start + data.draw(st.integers(0, 511))] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):  # with a checksum that is right
            content[start + 148 : start + 156] = b" " * 8
            content[start + 148 : start + 156] = b"%06o\0 " % sum(content[start : start + 512])
        path.write_bytes(content)
        try:
            found = find_archived(Path(folder), progress=False)
        except DataError as error:
            assert "\n" not in str(error)
        else:
            assert all(re.fullmatch(r"(train|val)/n\d{8}/(n\d{8}|ILSVRC2012_val)_\d+\.JPEG", name) for name in found)
            assert all(len(piece.open().read()) == piece.size for piece in found.values())


def test_without_scipy_one_line_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    assert "takes SciPy: pip install scipy" in refused(capsys, archives(tmp_path / "archives"), tmp_path / "256")
