"""Training on several ranks, as mpiexec starts them: the same numbers as one process, and an end in order."""

import csv
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tinynet import data

pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install -e '.[mpi]'")
HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "alexnet_imagenet.py"
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
TINY = ["--width", "0.05", "--image-size", "63", "--batch-size", "18", "--workers", "1", "--lr", "0.0005"]
pytestmark = pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec here: pip install -e '.[mpi]'")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return data.shapes(tmp_path_factory.mktemp("pictures"), train=80, val=21, side=72)


def start(n, *arguments, program=(EXAMPLE,)):
    command = [MPIEXEC, "-n", n, sys.executable, *program, *arguments]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process, code=0, timeout=100):
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == code, out + err
    return out, err


def run(n, *arguments, code=0, **how):
    return end(start(n, *arguments, **how), code)


def table(out):
    with open(out / "metrics.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def losses(out):
    return np.array([row["loss"] for row in table(out)], float)


def processes(process, n):
    """The ranks' process numbers, by rank, which rank 0 prints before the first step."""
    for line in process.stdout:
        if match := re.match(rf"{n} ranks, --parallel \w+: processes (.*)", line):
            return [int(who.split()[0]) for who in match[1].split(", ")]
    raise AssertionError(process.communicate())


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def gone(number):
    """Whether a process has ended: mpiexec leaves none behind."""
    for _ in range(500):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


TOGETHER = ["collectives", "collectives emu:0", "transposes", "buckets", "accumulation", "rows", "disagreement",
            "gradients data", "gradients hybrid", "gradients hybrid emu:1", "losses data", "losses hybrid",
            "losses data cpu,cpu", "losses data emu:0"]


@pytest.fixture(scope="module")
def outcomes():
    """What all of TOGETHER print, by the number of ranks: one start of mpiexec for each."""

    @functools.cache
    def on(n):
        return start(n, *TOGETHER, program=(HERE / "rank_checks.py",)).communicate(timeout=300)

    return on


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("check", TOGETHER)
def test_on_ranks(outcomes, n, check):
    out, err = outcomes(n)
    assert out.count(f"is content: {check}.") == n, err


@pytest.mark.parametrize("n", [2, 4])
def test_on_ranks_nothing_else_is_printed(outcomes, n):
    assert outcomes(n)[1] == ""


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("check", ["missing", "nccl"])
def test_on_ranks_of_their_own(n, check):
    out, err = run(n, check, program=(HERE / "rank_checks.py",))
    assert (out.count(f"is content: {check}."), err) == (n, "")


@pytest.mark.parametrize("kind", ["data", "hybrid"])
def test_ranks_train_as_one_process_does(pictures, tmp_path, kind):
    """Batches of 18 and a last one of 8, shared by 4; then the checkpoint goes on with 1, 2 and 4."""
    arguments = ["--data", pictures, "--epochs", 2, *TINY]
    run(1, *arguments, "--out", tmp_path / "one")
    out, _ = run(4, *arguments, "--parallel", kind, "--out", tmp_path / "four")
    assert out.splitlines()[-1].startswith("ten-crop: top-1") and out.count("center crop") == 3
    one, four = table(tmp_path / "one"), table(tmp_path / "four")
    for ours, theirs in zip(four, one, strict=True):
        for name in theirs:
            assert ours[name] == theirs[name] == "" or float(ours[name]) == pytest.approx(float(theirs[name]), rel=1e-5)
    assert {p.name for p in (tmp_path / "four").iterdir()} == {p.name for p in (tmp_path / "one").iterdir()}
    run(1, *arguments, "--epochs", 3, "--out", tmp_path / "straight")
    for n in (1, 2, 4):
        shutil.copytree(tmp_path / "four", tmp_path / f"on-{n}")
        options = ["--epochs", 3] + (["--parallel", kind] if n > 1 else [])
        run(n, "--out", tmp_path / f"on-{n}", "--resume", *options)
    np.testing.assert_allclose(losses(tmp_path / "on-2"), losses(tmp_path / "on-1"), rtol=1e-5)
    np.testing.assert_allclose(losses(tmp_path / "on-4"), losses(tmp_path / "on-1"), rtol=1e-5)
    assert len(losses(tmp_path / "on-4")) == 15


def test_pictures_that_cannot_be_read(pictures, tmp_path):
    """All ranks' go into one list; the mean is over what is left, and dropout's masks are those of the images."""
    root = shutil.copytree(pictures, tmp_path / "data")
    broken = sorted(root.rglob("*.JPEG"))[::16]
    for path in broken:
        path.write_bytes(b"no picture")
    arguments = ["--data", root, "--epochs", 1, *TINY]
    run(1, *arguments, "--out", tmp_path / "one")
    out, _ = run(4, *arguments, "--out", tmp_path / "four")
    assert f"{len(broken)} images could not be read" in out and all(str(path) in out for path in broken)
    np.testing.assert_allclose(losses(tmp_path / "four"), losses(tmp_path / "one"), rtol=1e-5)
    four, one = (float(table(tmp_path / name)[-1]["val_loss"]) for name in ("four", "one"))
    assert four == pytest.approx(one, rel=1e-5)


def test_a_rank_that_is_killed_ends_all_and_the_run_goes_on(pictures, tmp_path):
    arguments = ["--data", pictures, "--out", tmp_path / "r", "--epochs", 500, "--checkpoint-every", 3, *TINY]
    process = start(3, *arguments)
    numbers = processes(process, 3)
    wait_for(tmp_path / "r" / "checkpoint.safetensors")
    os.kill(numbers[1], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert f"error: rank 1 (process {numbers[1]}) died of SIGKILL" in err and "Traceback" not in err
    assert all(map(gone, numbers))
    assert np.isfinite(safetensors.numpy.load_file(tmp_path / "r" / "checkpoint.safetensors")["conv1.weight"]).all()
    done = len(losses(tmp_path / "r"))
    out, _ = run(2, "--out", tmp_path / "r", "--resume", "--stop-after", done + 5)
    assert "going on after step" in out
    assert len(losses(tmp_path / "r")) == done + 5


@pytest.mark.parametrize("kind", ["data", "hybrid"])
@pytest.mark.parametrize("sleeper", [0, 2])
def test_a_rank_that_sleeps_is_named(pictures, tmp_path, kind, sleeper):
    arguments = ["--out", tmp_path / "r", "--epochs", 500, "--checkpoint-every", 3, "--timeout", 3, *TINY]
    process = start(3, "--data", pictures, "--parallel", kind, *arguments)
    numbers = processes(process, 3)
    wait_for(tmp_path / "r" / "checkpoint.safetensors")
    os.kill(numbers[sleeper], signal.SIGSTOP)
    asleep = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert 2 < time.monotonic() - asleep < 20
    assert process.returncode != 0
    assert err.count("error:") == 1 and f"error: no word from rank {sleeper} for 3 s: the others stop" in err, err
    assert all(map(gone, numbers))
    safetensors.numpy.load_file(tmp_path / "r" / "checkpoint.safetensors")


def test_a_time_limit_given_with_resume_takes_effect(pictures, tmp_path):
    run(3, "--data", pictures, "--out", tmp_path / "r", "--stop-after", 1, *TINY)
    process = start(3, "--out", tmp_path / "r", "--resume", "--timeout", 3, "--epochs", 500)
    numbers = processes(process, 3)
    os.kill(numbers[1], signal.SIGSTOP)
    _, err = process.communicate(timeout=60)
    assert err.count("error:") == 1 and "error: no word from rank 1 for 3 s: the others stop" in err, err


def test_a_full_disk_on_rank_0_ends_all(pictures, tmp_path):
    """From the second checkpoint on no file may become longer than 30 kB."""
    limited = (
        "import resource, runpy, sys; from tinynet.training import checkpoint\n"
        "saves, write = [], checkpoint.write_atomically\n"
        "def limit(*arguments):\n"
        "    saves.append(arguments)\n"
        "    if len(saves) == 2: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        "    write(*arguments)\n"
        "checkpoint.write_atomically = limit\n"
        "sys.argv[0] = sys.argv.pop(1); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    arguments = ["--data", pictures, "--out", tmp_path / "r", "--epochs", 50, "--checkpoint-every", 4, *TINY]
    _, err = run(3, *arguments, program=("-c", limited, EXAMPLE), code=1)
    lines = [line for line in re.split(r"[\r\n]", err) if "error:" in line]
    assert len(lines) == 1 and "error: rank 0: the disk is full" in lines[0], err
    saved = safetensors.numpy.load_file(tmp_path / "r" / "checkpoint.safetensors")
    assert np.isfinite(saved["conv1.weight"]).all()
    out, _ = run(2, "--out", tmp_path / "r", "--resume", "--stop-after", 7)
    assert "going on after step 4" in out


@pytest.mark.parametrize("to", ["mpiexec", 1])
def test_sigterm_saves_once(pictures, tmp_path, to):
    """To all ranks, or in the middle of a step to one, which the others must hear of before it stops."""
    arguments = ["--data", pictures, "--epochs", 500, *TINY]
    process = start(3, *arguments, "--out", tmp_path / "r")
    numbers = processes(process, 3)
    wait_for(tmp_path / "r" / "checkpoint.safetensors")
    os.kill(process.pid if to == "mpiexec" else numbers[to], signal.SIGTERM)
    _, err = end(process, code=128 + signal.SIGTERM)
    (step,) = re.findall(r"SIGTERM: saved at step (\d+); go on with --out .* --resume", err)
    assert len(losses(tmp_path / "r")) == int(step)
    run(3, "--out", tmp_path / "r", "--resume", "--stop-after", int(step) + 3)
    run(3, *arguments, "--out", tmp_path / "straight", "--stop-after", int(step) + 3)
    np.testing.assert_array_equal(losses(tmp_path / "r"), losses(tmp_path / "straight"))


def test_a_rank_that_differs_is_refused_by_name(pictures, tmp_path):
    other = shutil.copytree(pictures, tmp_path / "other")
    (picture,) = sorted((other / "train" / "star").iterdir())[:1]
    picture.rename(picture.with_name("another.JPEG"))
    valid = shutil.copytree(pictures, tmp_path / "valid")
    next((valid / "val" / "star").iterdir()).unlink()
    for stop in (1, 2):
        run(1, "--data", pictures, "--out", tmp_path / f"after-{stop}", "--stop-after", stop, *TINY)
    first, second = (tmp_path / f"after-{stop}" / "checkpoint.safetensors" for stop in (1, 2))
    same = ["--data", pictures, "--out", tmp_path / "r", *TINY]
    for wrong, message in (
        (["--lr", "0.02"], r"error: rank 1: lr is 0.02, and 0.0005 on rank 0"),
        (["--width", "0.1"], r"error: rank 1: width is 0.1, and 0.05 on rank 0"),
        (["--data", other], r"error: rank 1: the list of training images is \w+, and \w+ on rank 0"),
        (["--data", tmp_path / "none"], r"error: rank 1: .*none/train does not exist"),
        (["--data", valid], r"error: rank 1: the list of validation images is \w+, and \w+ on rank 0"),
        (["--epochs", "x"], r"error: rank 1: argument --epochs: invalid int value: 'x'"),
    ):
        _, err = run(1, *same, ":", "-n", 1, sys.executable, EXAMPLE, *same, *wrong, code=2)
        assert re.search(message, err) and err.count("error:") == 1, err
        assert not (tmp_path / "r").exists()
    for one, other, message in (
        (["--evaluate", first], ["--evaluate", second], r"error: rank 1: the checksum of its weights is \d+, and \d+"),
        (["--resume", "--out", first.parent], ["--resume", "--out", second.parent],
         "error: rank 1: its step is 2, and 1 on rank 0"),
        (["--epochs", "x"], ["--epochs", "x"], "error: argument --epochs: invalid int value: 'x'"),
    ):
        _, err = run(1, *one, ":", "-n", 1, sys.executable, EXAMPLE, *other, code=2)
        assert re.search(message, err) and err.count("error:") == 1, err


def test_each_rank_has_its_own_devices(pictures, tmp_path):
    arguments = ["--data", pictures, "--stop-after", 3, *TINY]
    run(2, *arguments, "--devices", "cpu,cpu/cpu,cpu", "--out", tmp_path / "two")
    run(1, *arguments, "--out", tmp_path / "one")
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-5)
    _, err = run(2, *arguments, "--devices", "cpu,cpu/cpu", "--out", tmp_path / "three", code=2)
    assert err.count("error: rank 1: its number of devices is 1, and 2 on rank 0") == 1, err
    _, err = run(3, *arguments, "--devices", "cpu/cpu", "--out", tmp_path / "three", code=2)
    assert err.count("error: 3 ranks on this machine, and devices for 2: cpu/cpu") == 1, err
    _, err = run(2, *arguments, "--devices", "cpu/cpu/cpu", "--out", tmp_path / "three", code=2)
    assert err.count("error: 2 ranks on this machine, and devices for 3: cpu/cpu/cpu") == 1, err
    _, err = run(2, *arguments, "--devices", "cpu/emu:0", "--out", tmp_path / "three", code=2)
    assert err.count("error: rank 1: its kind of devices is emu, and cpu on rank 0") == 1, err
    _, err = run(2, *arguments, "--devices", "cpu,cpu", "--parallel", "hybrid", "--out", tmp_path / "h", code=2)
    assert err.count("error: HybridAlexNet: each rank has one device, got cpu, cpu") == 1, err


def test_help_is_printed_once():
    out, err = run(3, "--help")
    assert (out.count("usage:"), out.count("--devices DEVICES"), err) == (1, 2, ""), out


def test_linear_scaling_and_warm_up(pictures, tmp_path):
    """Goyal et al., 2017: rate times batch / 128, from the unscaled rate up to it within the first epochs."""
    arguments = ["--data", pictures, "--scale-lr", "--warm-up", 2, "--epochs", 3, "--batch-size", 256]
    arguments += ["--width", 0.05, "--image-size", 63, "--workers", 1, "--schedule", "step", "--lr", 0.001]
    run(2, *arguments, "--out", tmp_path / "r", "--stop-after", 1)
    run(1, "--out", tmp_path / "r", "--resume", "--epochs", 4)
    rates = [float(row["lr"]) for row in table(tmp_path / "r")]
    np.testing.assert_allclose(rates, [0.001, 0.00015, 0.00002, 0.00002], rtol=1e-12)  # a tenth at epochs 1 and 2
