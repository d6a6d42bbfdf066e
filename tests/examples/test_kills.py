"""A run that is killed at random moments, again and again, ends with the bits of one that was never stopped.

    TINYNET_KILLS=100 python -m pytest tests/examples/test_kills.py        # the long form
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import safetensors.numpy

from tinynet import data, training

EXAMPLE = Path(__file__).parents[2] / "examples" / "alexnet_imagenet.py"
KILLS = int(os.environ.get("TINYNET_KILLS", 6))


def start(*arguments):
    command = [sys.executable, str(EXAMPLE), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def rows(folder):
    path = folder / "metrics.csv"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_killed_at_random_moments(tmp_path):
    """A checkpoint after every step of a network of 10 MB, so that some of the kills fall into a save."""
    steps, rng = 3 * KILLS + 10, np.random.default_rng(int.from_bytes(os.urandom(4), "little"))
    pictures = data.shapes(tmp_path / "pictures", train=80, val=20, side=72)
    run = ["--data", pictures, "--width", 0.25, "--image-size", 63, "--batch-size", 4, "--workers", 1,
           "--devices", "cpu", "--epochs", steps, "--checkpoint-every", 1, "--stop-after", steps]
    began, straight = time.monotonic(), start(*run, "--out", tmp_path / "straight")
    assert straight.communicate() and straight.returncode == 0
    one_step = (time.monotonic() - began) / steps
    folder, in_saves = tmp_path / "killed", 0
    for kill in range(KILLS + 1):
        saved = (folder / "checkpoint.safetensors").exists()
        process = start(*(["--resume", "--stop-after", steps] if saved else run), "--out", folder)
        if kill == KILLS:
            _, error = process.communicate()
            assert process.returncode == 0, error
            break
        enough = rows(folder) + rng.integers(0, 3)  # with 0 more the kill falls into the imports, or near them
        while rows(folder) < enough and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, one_step))
        process.send_signal(signal.SIGKILL)
        _, error = process.communicate()
        assert process.returncode == -signal.SIGKILL, error
        in_saves += any(folder.glob(".checkpoint*"))
        if (folder / "checkpoint.safetensors").exists():
            training.load(folder / "checkpoint.safetensors")  # whole, checksum and all
    ours, theirs = (safetensors.numpy.load_file(f / "checkpoint.safetensors") for f in (folder, tmp_path / "straight"))
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert (folder / "metrics.csv").read_bytes() == (tmp_path / "straight" / "metrics.csv").read_bytes()
    assert sorted(os.listdir(folder)) == ["checkpoint.safetensors", "config.json", "metrics.csv"]
    print(f"{KILLS} kills, {in_saves} of them in a save")
