"""Names that are no plain text: read as they are, printed and drawn in one line; and files that are no images."""

import csv
import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tinynet import files, parallel, plot, training
from tinynet.data import DataError, DataLoader, ImageError, ImageFolder, decode, fit_statistics, to_chw
from tinynet.data.folder import find_images
from tinynet.data.prepare import prepare
from tinynet.errors import RunError
from tinynet.training import Checkpoint, load
from toy_images import STRANGE_NAMES, write_images, write_strange

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems restrict names")

PRINTED = {
    "$_^$": "$_^$", "a\nb": r"a\nb", "\x1b[31mred\t": r"\x1b[31mred\t", os.fsdecode(b"\xff\xfe"): r"\xff\xfe",
    "日本": "日本", "\u202egnp": r"\u202egnp", "a\u2028b": r"a\u2028b", r"a\b": r"a\b",
}


def test_printable(monkeypatch):
    assert {name: files.printable(name) for name in PRINTED} == PRINTED
    assert files.printable(Path("a\nb") / "c") == r"a\nb/c"
    with open(os.devnull, "w", encoding="ascii") as narrow:
        monkeypatch.setattr(sys, "stdout", narrow)
        assert files.printable("é日\udcff") == r"\xe9\u65e5\xff"
        print(files.printable("é日\udcff"))
        monkeypatch.undo()


def test_errors_are_one_line_whatever_the_names(tmp_path):
    for name in STRANGE_NAMES:
        write_images(tmp_path / name / "a" / name, "1.png")
        (tmp_path / name / "a" / "broken.png").write_bytes(b"")
        folder = ImageFolder(tmp_path / name)
        with pytest.raises(ImageError) as caught:
            folder.image(1 - [path.name for path in folder.paths].index("1.png"), 4)
        assert caught.value.path == str(tmp_path / name / "a" / "broken.png")  # as it is
        with pytest.raises(DataError) as others:
            ImageFolder(tmp_path / name / "a", ["b"])
        for error in (caught.value, others.value):
            assert str(error).isprintable() and files.printable(name) in str(error)
            str(error).encode("utf-8")


def test_strange_class_names_are_kept(tmp_path):
    write_strange(tmp_path / "src")
    folder = ImageFolder(tmp_path / "src")
    assert folder.classes == sorted(STRANGE_NAMES)
    assert [folder.image(i, 4).shape for i in range(len(folder))] == [(4, 4, 3)] * 2 * len(STRANGE_NAMES)
    statistics = fit_statistics(folder, 4, 0)
    assert statistics.mean.shape == (4, 4, 3)
    checkpoint = Checkpoint(tmp_path / "c.safetensors", model=Empty())
    checkpoint.save(classes=folder.classes)
    assert load(tmp_path / "c.safetensors").info["classes"] == folder.classes
    assert json.loads(json.dumps(folder.classes)) == folder.classes


class Empty:
    def state_dict(self):
        return {"x": np.zeros(1, np.float32)}

    def named_arrays(self):
        return []


def test_strange_names_are_printed_by_a_run(tmp_path, monkeypatch):
    write_images(tmp_path, *(f"a/{name[:9]}.png" for name in STRANGE_NAMES))
    for path in (tmp_path / "a").iterdir():
        path.write_bytes(b"")
    loader = DataLoader(ImageFolder(tmp_path), 2, to_chw, side=4)
    with pytest.raises(DataError):
        list(loader)
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    training.report_skipped([loader], parallel.Ranks())
    out.flush()
    lines = out.buffer.getvalue().decode("ascii").splitlines()
    assert lines[0] == f"{len(STRANGE_NAMES)} images could not be read and were skipped:"
    expected = [files.printable(f"  {path}: the file is empty (0 bytes)") for path in loader.dataset.paths]
    assert sorted(lines[1:]) == sorted(expected)
    saved = SimpleNamespace(path="c", info={"classes": ["$_^$\n", "\udcff"]})
    with pytest.raises(RunError) as caught:
        training.check_images(saved, loader.dataset, resume=False)
    assert str(caught.value).isprintable()


def test_strange_names_are_drawn(tmp_path, rng):
    pictures = rng.integers(0, 256, (len(STRANGE_NAMES), 20, 20, 3)).astype("uint8")
    plot.nearest(tmp_path / "a.png", [list(zip(pictures, STRANGE_NAMES, strict=True))], "/tmp/$_{/\udcff\n$")
    plot.filters(tmp_path / "b.png", rng.standard_normal((16, 3, 5, 5)), ["$_^$", "\udcff"], "$_^$")
    plot.curves(tmp_path / "c.png", [{"step": "1", "loss": "0", "top1": "1"}], 4, "$_^$")
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "b.png", "c.png"}


@pytest.mark.parametrize("locale", [
    {"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii:strict"},
    {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8:strict"},
])
def test_prepare_with_strange_names_in_every_locale(tmp_path, locale):
    write_strange(tmp_path / "src")
    for name in STRANGE_NAMES:
        (tmp_path / "src" / name / "broken\n.png").write_bytes(b"")
    dst = tmp_path / "\nd\udcff\u65e5"
    done = subprocess.run([sys.executable, "-m", "tinynet.data.prepare", tmp_path / "src", dst, "--side", "4"],
                          env=os.environ | locale, capture_output=True, timeout=60)
    n = len(STRANGE_NAMES)
    assert done.returncode == 0 and done.stderr == b"", done.stderr.decode()
    assert done.stdout.decode().startswith(f"{2 * n} prepared, 0 already there, {n} unreadable (listed in ")
    assert done.stdout.count(b"\n") == 1 and rb"\nd\xff" in done.stdout
    with open(dst / "unreadable.txt", newline="", encoding="utf-8") as report:
        rows = list(csv.reader(report, delimiter="\t"))
    assert len(rows) == n and {reason for _, reason in rows} == {"the file is empty (0 bytes)"}
    before, after = ImageFolder(tmp_path / "src"), ImageFolder(dst)
    assert after.classes == before.classes and len(after) == 2 * n
    assert 250 < max(len(os.fsencode(path.name)) for path in after.paths) <= 255
    assert prepare(tmp_path / "src", dst, 4, progress=False) == (0, 2 * n, n)  # found again


def test_a_long_name_is_shortened_to_one_that_no_other_has(tmp_path):
    long = ["é" * 125 + "a.png", "é" * 125 + "b.png", "é" * 125 + "b.jpg", "x" * 251 + ".png", "x" * 250 + ".png"]
    write_images(tmp_path / "src", *(f"a/{name}" for name in long))
    assert prepare(tmp_path / "src", tmp_path / "dst", 4, progress=False) == (5, 0, 0)
    names = os.listdir(tmp_path / "dst" / "a")
    assert len(names) == 5 and all(len(os.fsencode(name)) <= 255 and name.endswith(".JPEG") for name in names)
    assert "x" * 250 + ".JPEG" in names and prepare(tmp_path / "src", tmp_path / "dst", 4, progress=False) == (0, 5, 0)


def test_a_temporary_name_is_no_longer_than_the_file_system_allows(tmp_path):
    for name in ("x" * 255, "é" * 127, "a"):
        with files.replacing(tmp_path / name) as temporary:
            temporary.write_text("new")
        assert (tmp_path / name).read_text() == "new"
    assert len(os.listdir(tmp_path)) == 3


def write_special(folder):
    """Files that end like images and are none; 60 GB of zeros take no space on the disk."""
    os.mkfifo(folder / "fifo.png")
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "broken.png").symlink_to("nowhere")
    (folder / "loop.png").symlink_to("loop.png")
    with open(folder / "sparse.png", "wb") as file:
        file.truncate(60 * 10**9)
    with socket.socket(socket.AF_UNIX) as listening:
        before = os.getcwd()
        os.chdir(folder)  # addresses of sockets are short
        listening.bind("socket.png")
        os.chdir(before)


REASONS = {"fifo": "a FIFO, not a file", "device": "a device, not a file", "socket": "a socket, not a file",
           "sparse": "60000 MB", "broken": "No such file", "loop": "Too many levels of symbolic links"}


def test_what_is_no_file_is_skipped_and_listed(tmp_path):
    write_images(tmp_path / "src", "a/1.png")
    write_special(tmp_path / "src" / "a")
    loader = DataLoader(ImageFolder(tmp_path / "src"), 9, to_chw, side=4)
    assert [len(labels) for _, labels in loader] == [1]
    found = {Path(path).stem: reason for path, reason in loader.skipped.items()}
    assert prepare(tmp_path / "src", tmp_path / "dst", 4, progress=False) == (1, 0, 6)
    with open(tmp_path / "dst" / "unreadable.txt", encoding="utf-8", newline="") as report:
        listed = {Path(name).stem: reason for name, reason in csv.reader(report, delimiter="\t")}
    assert found == listed and set(found) == set(REASONS)
    for name, reason in REASONS.items():
        assert reason in found[name]
    with open(tmp_path / "src" / "a" / "sparse.png", "rb") as file, pytest.raises(ImageError, match="60000 MB"):
        decode(file)


def test_links_give_prepare_and_training_the_same_images(tmp_path):
    """Loops, directly and by way of another link; and links that are none, twice to the same folder."""
    src = tmp_path / "src"
    write_images(src, "train/a/1.png", "train/b/2.png", "val/a/3.png", "val/b/4.png")
    write_images(tmp_path / "shared", "5.png")
    for link, target in [
        ("train/b/here", "."), ("train/b/up", ".."), ("train/a/top", "../.."), ("train/a/above", "../../.."),
        ("train/a/shared", tmp_path / "shared"), ("train/b/shared", tmp_path / "shared"),
        ("val/b/shared", tmp_path / "shared"), ("val/a/other", "../b"), ("val/b/back", "../a"),
    ]:
        (src / link).symlink_to(target)
    (tmp_path / "shared" / "home").symlink_to(src / "val" / "b")
    whole = find_images(src)
    for split in ("train", "val"):
        assert [f"{split}/{name}" for name in find_images(src / split)] == [n for n in whole if n.startswith(split)]
    assert find_images(src / "train") == [
        "a/1.png", "a/shared/5.png", "a/shared/home/4.png", "a/shared/home/back/3.png", "b/2.png", "b/shared/5.png",
        "b/shared/home/4.png", "b/shared/home/back/3.png"]
    assert find_images(src / "val") == [
        "a/3.png", "a/other/4.png", "a/other/shared/5.png", "b/4.png", "b/back/3.png", "b/shared/5.png"]
    assert prepare(src, tmp_path / "dst", 4, progress=False)[0] == len(whole)
    for split in ("train", "val"):
        stems = [path.relative_to(tmp_path / "dst" / split).with_suffix(".png").as_posix()
                 for path in ImageFolder(tmp_path / "dst" / split).paths]
        assert stems == find_images(src / split)


