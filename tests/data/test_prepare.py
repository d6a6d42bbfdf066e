"""python -m tinynet.data.prepare, as a user runs it: to the end, killed, resumed, with wrong arguments."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinynet.data import DataError, ImageFolder, decode
from tinynet.data.folder import find_images
from tinynet.data.prepare import _renamed, main, prepare
from toy_images import write_images

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and limits")


def start(*arguments, **options):
    command = [sys.executable, "-m", "tinynet.data.prepare", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONWARNINGS": "error"}, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def run(*arguments, **options):
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def wait_until(condition, pause=0.001):
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(pause)


def test_images_are_as_large_as_in_the_paper(tmp_path):
    """256 x 256 (section 2), unless asked otherwise."""
    write_images(tmp_path / "src", "train/a/1.jpg")
    assert main([str(tmp_path / "src"), str(tmp_path / "command"), "--workers", "1"]) == 0
    prepare(tmp_path / "src", tmp_path / "function", workers=1, progress=False)
    for name in ("command", "function"):
        with Image.open(next((tmp_path / name).rglob("1.*"))) as image:
            assert image.size == (256, 256)


def test_a_tree_of_every_kind_of_file(tmp_path):
    src, dst = tmp_path / "src", tmp_path / "dst"
    write_images(src, "train/a/1.jpg", "train/a/2.PNG", "train/b/3.JPEG", "val/a/4.bmp", "val/b/5.jpeg",
                 format=None)
    Image.new("CMYK", (50, 70), (0, 255, 255, 0)).save(src / "train/b/cmyk.jpg", quality=100)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated
    Image.linear_gradient("L").save(src / "val/b/rotated.jpg", exif=exif)
    Image.new("P", (9, 9)).save(src / "val/b/tiny.gif")
    (src / "val/b/page.jpg").write_text("<html>")
    (src / "train/a/empty.JPEG").write_bytes(b"")
    (src / "train/a/notes.txt").write_text("not an image")

    code, out, err = run(src, dst, "--side", 32, "--workers", 2)
    assert (code, err) == (0, "")
    report = dst / "unreadable.txt"
    assert out.splitlines()[-1] == f"8 prepared, 0 already there, 2 unreadable (listed in {report})"
    lines = [line.split("\t") for line in report.read_text().splitlines()]
    assert [name for name, _ in lines] == ["train/a/empty.JPEG", "val/b/page.jpg"]
    assert "empty" in lines[0][1] and "not an image" in lines[1][1]

    train, val = ImageFolder(dst / "train"), ImageFolder(dst / "val")
    assert train.classes == val.classes == ["a", "b"] and len(train) == 4 and len(val) == 4
    for path in train.paths + val.paths:
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (32, 32))
    assert np.abs(decode(dst / "train/b/cmyk.JPEG").astype(int) - (255, 0, 0)).max() < 10
    row = decode(dst / "val/b/rotated.JPEG")[16, :, 0]
    assert row[0] > 240 and row[-1] < 15  # dark at the top, rotated clockwise

    (src / "train/a/empty.JPEG").unlink()
    (src / "val/b/page.jpg").unlink()
    write_images(src, "train/b/6.png")
    before = (dst / "train/a/1.JPEG").stat().st_mtime_ns
    assert prepare(src, dst, 32, workers=1, progress=False) == (1, 8, 0)
    assert (dst / "train/a/1.JPEG").stat().st_mtime_ns == before
    assert not report.exists()  # nothing is unreadable any more
    assert prepare(src, dst, 32, progress=False) == (0, 9, 0)


@posix
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_and_resumed(tmp_path, how):
    src, dst = tmp_path / "src", tmp_path / "dst"
    write_images(src, *(f"a/{i}.png" for i in range(2)), size=(900, 900))
    for i in range(2, 200):
        os.link(src / "a/0.png", src / f"a/{i}.png")
    process = start(src, dst, "--side", 32, "--workers", 2, start_new_session=True)
    wait_until(lambda: list(dst.glob("a/*.JPEG")), pause=0.01)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does: to the workers too
    else:
        process.kill()
    # The workers inherited the same stdout, so this returns only when they have ended as well.
    out, err = process.communicate(timeout=30)
    done = len(list(dst.glob("a/*.JPEG")))
    assert 0 < done < 200
    if how == signal.SIGINT:
        assert process.returncode == 130 and out == ""
        assert err == "tinynet.data.prepare: stopped; the same command continues where it stopped\n"
    for path in dst.glob("a/*.JPEG"):
        assert decode(path).shape == (32, 32, 3)  # no half-written file has its final name
    for path in list(src.glob("a/*.png"))[50:]:  # the rest would take too long
        if not (dst / "a" / (path.stem + ".JPEG")).exists():
            path.unlink()
    left = len(list(src.glob("a/*.png")))
    assert prepare(src, dst, 32, workers=1, progress=False) == (left - done, done, 0)


@posix
def test_stopped_while_the_workers_start(tmp_path):
    write_images(tmp_path / "src", *(f"a/{i}.png" for i in range(50)), size=(400, 400))
    process = start(tmp_path / "src", tmp_path / "dst", start_new_session=True)
    wait_until((tmp_path / "dst").exists)
    time.sleep(0.05)  # the workers are importing NumPy now
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.count("\n")) == (130, "", 1), err


@posix
def test_a_full_disk_is_one_line(tmp_path):
    """A limit on file sizes stands in for a full disk: write_images() fails in the same way."""
    import resource

    write_images(tmp_path / "src", "a/1.png", "a/2.png", size=(300, 300))  # 2 kB each when prepared
    code, out, err = run(tmp_path / "src", tmp_path / "dst", "--workers", 1,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)))
    assert (code, out, err) == (1, "", f"tinynet.data.prepare: {tmp_path / 'dst'}: File too large\n")
    assert [p for p in (tmp_path / "dst").rglob("*") if p.is_file()] == []


@posix
def test_wrong_calls_are_one_line_and_exit_code_2(tmp_path, capsys):
    write_images(tmp_path / "src", "a/1.png")
    for folder in ("empty", "texts"):
        (tmp_path / folder).mkdir()
    (tmp_path / "texts" / "a.txt").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "src")
    for source, target, options, message in [
        ("missing", "dst", "", "missing does not exist"),
        ("src/a/1.png", "dst", "", "is a file"),
        ("empty", "dst", "", "contains no images"),
        ("texts", "dst", "", "contains no images"),
        ("src", "src/out", "", "is inside"),
        ("src", "src", "", "the same folder"),
        ("src", "link", "", "the same folder"),
        ("src", "src/../src/a/out", "", "is inside"),
        ("src", "src/a/1.png", "", "is a file"),
        ("src", "dst", "--quality 101", "--quality: must be an integer of 1 to 100, got 101"),
        ("src", "dst", "--side 0", "--side: must be an integer of 1 to 9459, got 0"),
        ("src", "dst", f"--side {10**20}", f"--side: must be an integer of 1 to 9459, got {10**20}"),
        ("src", "dst", "--side 10**20", "--side: must be an integer of 1 to 9459, got 10**20"),
        ("src", "dst", "--side " + "9" * 5000, "--side: must be"),
        ("src", "dst", "--workers -1", "--workers: must be"),
        ("src", "dst", "--workers 0", "--workers: must be an integer of 1 to 1024, got 0"),
        ("src", "dst", "--worker", "--worker"),
        ("src", "dst", "more", "more"),
    ]:
        assert main([str(tmp_path / source), str(tmp_path / target), *options.split()]) == 2
        out, err = capsys.readouterr()
        assert out == "" and message in err and err.count("\n") == 1 and len(err) < 300
    assert main([]) == 2 and "SRC" in capsys.readouterr().err
    for wrong in ({"side": 0}, {"side": 10**20}, {"side": 2.0}, {"workers": 0}, {"workers": "2"}, {"quality": True},
                  {"source": ""}, {"source": 3}, {"target": None}, {"progress": "no"}):
        with pytest.raises(DataError, match=f"^prepare: {next(iter(wrong))} must be "):
            prepare(**{"source": tmp_path / "src", "target": tmp_path / "dst"} | wrong)
    assert not (tmp_path / "dst").exists()


def test_no_two_images_become_one_file(tmp_path):
    src = tmp_path / "src"
    write_images(src, "a/1.png", "a/1.jpg", "a/2.png", "b/1.png")
    assert _renamed(find_images(src)) == {"a/1.png": "a/1.png.JPEG", "a/1.jpg": "a/1.jpg.JPEG",
                                          "a/2.png": "a/2.JPEG", "b/1.png": "b/1.JPEG"}
    for clash in ("a/1.png.bmp", "a/1.PNG.bmp"):  # the second one where the file system ignores case
        write_images(src, clash)
        with pytest.raises(DataError, match="would both become"):
            prepare(src, tmp_path / "dst")
        (src / clash).unlink()
