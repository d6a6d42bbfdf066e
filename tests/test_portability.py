"""What students' laptops lack: names that only POSIX systems have, a UTF-8 locale, paths without spaces."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinynet.emulator import compiler
from tinynet.explain.figures import FIGURES
from toy_images import write_images

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = str(ROOT / "examples" / "alexnet_imagenet.py")
SMALL = ["--width", "0.1", "--image-size", "64", "--batch-size", "4", "--lr", "0.001"]


@pytest.fixture
def run(tmp_path):
    """run(*arguments): a program without POSIX's names, in `a folder`. Returns what it prints."""
    folder = tmp_path / "a folder"
    folder.mkdir()

    def run(*arguments):
        command = [sys.executable, "-X", "warn_default_encoding", ROOT / "tests" / "without_posix.py", *arguments]
        path = {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=folder, env=os.environ | path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    run.folder = folder
    return run


def test_a_run_is_trained_resumed_and_evaluated(run):
    names = [f"{split}/{name}/{i} .png" for split in ("train", "val") for name in ("a cat", "dög") for i in range(4)]
    write_images(run.folder / "my pictures", *names, size=(80, 70))
    assert "16 prepared" in run("-m", "tinynet.data.prepare", "my pictures", "pre pared", "--workers", "2")
    out = ["--out", "runs/a b"]
    data = ["--data", "pre pared", "--devices", "cpu,cpu"]
    assert 'saved at step 3; go on with --out "runs/a b" --resume' in \
        run(EXAMPLE, *SMALL, *data, *out, "--epochs", "3", "--stop-after", "3")  # fmt: skip
    assert "going on after step 3" in run(EXAMPLE, *out, "--resume", "--stop-after", "0")
    assert "ten-crop: top-1" in run(EXAMPLE, "--evaluate", "runs/a b/checkpoint.safetensors")
    assert {path.name for path in (run.folder / "runs" / "a b").iterdir()} == \
        {"metrics.csv", "config.json", "checkpoint.safetensors", *FIGURES}  # fmt: skip


def test_the_doctor_comes(run):
    assert "right sum" in run("-m", "tinynet", "doctor")


def test_on_windows_the_emulator_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(RuntimeError, match="needs Linux or macOS; on Windows"):
        compiler.compiler.__wrapped__()
