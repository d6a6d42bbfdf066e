"""python -m tinynet.data.prepare, as a user runs it: whole, killed, resumed, wrongly called."""

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
from tinynet.data.prepare import _plan, main, prepare

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and limits")


def command(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "tinynet.data.prepare", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONWARNINGS": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(*arguments, **options):
    process = command(*arguments, **options)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def write(root, *names, size=(60, 40)):
    for name in names:
        path = Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").resize(size).convert("RGB").save(path)


def test_a_tree_of_every_kind_of_file(tmp_path):
    src, dst = tmp_path / "src", tmp_path / "dst"
    write(src, "train/a/1.jpg", "train/a/2.PNG", "train/b/3.JPEG", "val/a/4.bmp", "val/b/5.jpeg")
    Image.new("CMYK", (50, 70), (0, 255, 255, 0)).save(src / "train/b/cmyk.jpg", quality=100)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.linear_gradient("L").save(src / "val/b/turned.jpg", exif=turned)
    Image.new("P", (9, 9)).save(src / "val/b/tiny.gif")
    (src / "val/b/page.jpg").write_text("<html>")
    (src / "train/a/empty.JPEG").write_bytes(b"")
    (src / "train/a/notes.txt").write_text("not a picture")

    code, out, err = run(src, dst, "--side", 32, "--workers", 2)
    assert (code, err) == (0, "")
    report = dst / "unreadable.txt"
    assert out.splitlines()[-1] == (
        f"8 prepared, 0 already there, 2 unreadable (listed in {report})"
    )
    lines = [line.split("\t") for line in report.read_text().splitlines()]
    assert [name for name, _ in lines] == ["train/a/empty.JPEG", "val/b/page.jpg"]
    assert "empty" in lines[0][1] and "not an image" in lines[1][1]

    train, val = ImageFolder(dst / "train"), ImageFolder(dst / "val")
    assert train.classes == val.classes == ["a", "b"] and len(train) == 4 and len(val) == 4
    for path in train.paths + val.paths:
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (32, 32))
    assert np.abs(decode(dst / "train/b/cmyk.JPEG").astype(int) - (255, 0, 0)).max() < 10
    across = decode(dst / "val/b/turned.JPEG")[16, :, 0].astype(int)
    assert across[0] > 240 and across[-1] < 15  # dark at the top, turned to the right

    (src / "train/a/empty.JPEG").unlink()
    (src / "val/b/page.jpg").unlink()
    write(src, "train/b/6.png")
    before = (dst / "train/a/1.JPEG").stat().st_mtime_ns
    assert prepare(src, dst, 32, workers=1, quiet=True) == (1, 8, 0)
    assert (dst / "train/a/1.JPEG").stat().st_mtime_ns == before
    assert not report.exists()  # nothing is unreadable any more
    assert prepare(src, dst, 32, quiet=True) == (0, 9, 0)


@posix
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_and_resumed(tmp_path, how):
    src, dst = tmp_path / "src", tmp_path / "dst"
    write(src, *(f"a/{i}.png" for i in range(2)), size=(900, 900))
    for i in range(2, 200):
        os.link(src / "a/0.png", src / f"a/{i}.png")
    process = command(src, dst, "--side", 32, "--workers", 2, start_new_session=True)
    deadline = time.monotonic() + 30
    while not list(dst.glob("a/*.JPEG")) and time.monotonic() < deadline:
        time.sleep(0.01)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does: to the workers too
    else:
        process.kill()
    # The workers hold the same stdout, so this returns only when they have ended as well.
    out, err = process.communicate(timeout=30)
    done = len(list(dst.glob("a/*.JPEG")))
    assert 0 < done < 200
    if how == signal.SIGINT:
        assert process.returncode == 130 and out == ""
        assert err == "tinynet.data.prepare: stopped; the same command goes on where it was\n"
    for path in dst.glob("a/*.JPEG"):
        assert decode(path).shape == (32, 32, 3)  # no half-written file has its final name
    for path in list(src.glob("a/*.png"))[50:]:  # the rest would take long
        if not (dst / "a" / (path.stem + ".JPEG")).exists():
            path.unlink()
    left = len(list(src.glob("a/*.png")))
    assert prepare(src, dst, 32, workers=1, quiet=True) == (left - done, done, 0)


@posix
def test_stopped_while_the_workers_start(tmp_path):
    write(tmp_path / "src", *(f"a/{i}.png" for i in range(50)), size=(400, 400))
    process = command(tmp_path / "src", tmp_path / "dst", start_new_session=True)
    deadline = time.monotonic() + 30
    while not (tmp_path / "dst").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)  # the workers are importing NumPy now
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.count("\n")) == (130, "", 1), err


@posix
def test_a_full_disk_is_one_line(tmp_path):
    """A limit on the size of files stands for the full disk: write() fails in the same way."""
    import resource

    write(tmp_path / "src", "a/1.png", "a/2.png", size=(300, 300))  # 2 kB each when prepared
    code, out, err = run(
        tmp_path / "src", tmp_path / "dst", "--workers", 1,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)),
    )
    assert code == 1 and out == ""
    assert err == f"tinynet.data.prepare: {tmp_path / 'dst'}: File too large\n"
    assert [p for p in (tmp_path / "dst").rglob("*") if p.is_file()] == []


def test_wrong_calls_are_one_line_and_exit_code_2(tmp_path, capsys):
    src = tmp_path / "src"
    write(src, "a/1.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("")
    dst = str(tmp_path / "dst")
    for arguments, message in [
        ([str(tmp_path / "missing"), dst], "missing does not exist"),
        ([str(src / "a" / "1.png"), dst], "is a file"),
        ([str(tmp_path / "empty"), dst], "holds no pictures"),
        ([str(tmp_path / "texts"), dst], "holds no pictures"),
        ([str(src), str(src / "out")], "lies inside"),
        ([str(src), str(src)], "lies inside"),
        ([str(src), str(src / "a" / "1.png")], "is a file"),
        ([str(src), dst, "--quality", "101"], "quality"),
        ([str(src), dst, "--side", "0"], "side"),
        ([str(src), dst, "--workers", "-1"], "workers"),
    ]:
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == "" and message in err and err.count("\n") == 1
    assert not Path(dst).exists()


def test_no_two_pictures_become_one_file(tmp_path):
    src = tmp_path / "src"
    write(src, "a/1.png", "a/1.jpg", "a/2.png", "b/1.png")
    assert _plan(src, tmp_path / "dst") == {
        "a/1.png": "a/1.png.JPEG",
        "a/1.jpg": "a/1.jpg.JPEG",
        "a/2.png": "a/2.JPEG",
        "b/1.png": "b/1.JPEG",
    }
    write(src, "a/1.png.bmp")
    with pytest.raises(DataError, match="would both become"):
        prepare(src, tmp_path / "dst")
