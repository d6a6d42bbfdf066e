"""examples/alexnet_imagenet.py as its users run it: from a shell, interrupted, with bad input."""

import csv
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tinynet import data, training
from tinynet.training.checkpoint import checksum

resource = pytest.importorskip("resource", reason="these tests use POSIX signals and limits")

EXAMPLE = Path(__file__).parents[2] / "examples" / "alexnet_imagenet.py"
# 80 pictures, 5 batches an epoch, a net of 5 % of the width
TINY = ["--width", "0.05", "--image-size", "63", "--batch-size", "16", "--workers", "1"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return data.shapes(tmp_path_factory.mktemp("pictures"), train=80, val=20, side=72)


def start(*arguments, **how):
    command = [sys.executable, str(EXAMPLE), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)


def run(*arguments, code=0, **how):
    process = start(*arguments, **how)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return out, err


def one_line(err):
    """The error: one line, after whatever the progress bar wrote."""
    lines = [line for line in re.split(r"[\r\n]", err) if line.strip() and "step" not in line.partition("error:")[0]]
    lines = [line for line in lines if "mean and colors" not in line]
    assert len(lines) == 1, err
    return lines[0]


def losses(out):
    with open(out / "metrics.csv", encoding="utf-8", newline="") as file:
        return [row["loss"] for row in csv.DictReader(file)]


def test_a_run_from_start_to_end(pictures, tmp_path):
    out, _ = run("--data", pictures, "--out", tmp_path / "run", "--epochs", 2, *TINY)
    lines = out.splitlines()
    assert re.fullmatch(r"center crop: top-1 \d+\.\d % top-5 \d+\.\d %", lines[-2])
    assert re.fullmatch(r"ten-crop: top-1 \d+\.\d % top-5 \d+\.\d %", lines[-1])
    assert "device 0 (cpu)        device 1 (cpu)" in out and out.count("all_gather: ") == 3  # two columns by default
    assert "total" in out and "changes from image to image" in out
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "checkpoint.safetensors", "config.json", "metrics.csv", "curves.png", "conv1.png", "filters.png", "layers.png",
        "patches.png", "confusion.png", "mistakes.png", "nearest.png",
    }
    again, _ = run("--data", pictures, "--evaluate", tmp_path / "run" / "checkpoint.safetensors")
    assert again.splitlines() == lines[-2:]
    error = one_line(run("--data", pictures, "--out", tmp_path / "run", code=2)[1])
    assert "already holds a run" in error


def test_a_network_with_one_thing_changed_is_trained_resumed_and_evaluated(pictures, tmp_path):
    switches = ["--variant", "tanh,no-lrn", "--augment", "rotation,contrast", "--dropout", 0, "--weight-decay", 0]
    out, _ = run("--data", pictures, "--out", tmp_path / "a", "--epochs", 3, *switches, *TINY)
    run("--data", pictures, "--out", tmp_path / "b", "--epochs", 3, "--stop-after", 12, *switches, *TINY)
    run("--data", pictures, "--out", tmp_path / "b", "--resume")
    for file in ("metrics.csv", "filters.png", "layers.png", "confusion.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    evaluated, _ = run("--data", pictures, "--evaluate", tmp_path / "a" / "checkpoint.safetensors")
    assert evaluated.splitlines() == out.splitlines()[-2:]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(pictures, tmp_path, number):
    arguments = ["--data", pictures, "--epochs", 4, "--checkpoint-every", 3, "--stop-after", 17, *TINY]
    run(*arguments, "--out", tmp_path / "straight")
    process = start(*arguments, "--out", tmp_path / "stopped")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (tmp_path / "stopped" / "checkpoint.safetensors").exists():
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.fail("the run was over before the signal came")
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert re.search(rf"{number.name}: saved at step \d+; go on with --out .* --resume", err)
    done = len(losses(tmp_path / "stopped"))
    assert 3 <= done < 17
    out, _ = run("--out", tmp_path / "stopped", "--resume", "--stop-after", 17)
    assert out.startswith("going on after step")
    assert losses(tmp_path / "stopped") == losses(tmp_path / "straight")
    ours, theirs = (
        safetensors.numpy.load_file(tmp_path / name / "checkpoint.safetensors") for name in ("stopped", "straight")
    )
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_ctrl_c_in_the_first_second_is_no_traceback(pictures, tmp_path):
    """At random moments: in the imports, before the first step, in the first steps. Until our own first line has run,
    Python still prints one."""
    text = EXAMPLE.read_text()
    guard = text[: text.index("signal.SIG_DFL")].count("\n") + 1
    for number, delay in enumerate(np.random.default_rng().uniform(0.03, 1.2, 12)):
        process = start("--data", pictures, "--out", tmp_path / str(number), *TINY,
                        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # if the tests ignore it
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        if "Traceback" not in err:
            assert process.returncode in (-signal.SIGINT, 128 + signal.SIGINT), err
        else:
            assert all(int(line) <= guard for line in re.findall(rf'{EXAMPLE.name}", line (\d+)', err)), err


def test_the_example_can_be_imported_without_a_change_of_signals():
    before = signal.getsignal(signal.SIGINT)
    runpy.run_path(str(EXAMPLE))
    assert signal.getsignal(signal.SIGINT) is before


def test_resume_takes_the_runs_options_and_refuses_others(pictures, tmp_path):
    run("--data", pictures, "--out", tmp_path / "r", "--stop-after", 2, *TINY)
    assert "was trained with --width 0.05, got 0.1" in one_line(
        run("--out", tmp_path / "r", "--resume", "--width", "0.1", code=2)[1]
    )
    assert "--resume needs --out" in one_line(run("--resume", code=2)[1])
    run("--out", tmp_path / "r", "--resume", "--stop-after", 3, "--devices", "cpu,cpu")
    assert len(losses(tmp_path / "r")) == 3


def test_the_papers_preset_is_the_papers_network(pictures, tmp_path):
    """Full size on any folder: 1000 outputs, of which these pictures use ten."""
    arguments = ["--data", pictures, "--preset", "paper", "--batch-size", 2, "--stop-after", 1]
    out, err = run(*arguments, "--out", tmp_path / "r")
    assert "60,965,224" in out and "conv1  48 x 55 x 55          48 x 55 x 55" in out
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert {name: config[name] for name in ("recipe", "schedule", "epochs", "lr", "image_size")} == {
        "recipe": "paper", "schedule": "plateau", "epochs": 90, "lr": 0.01, "image_size": 224,
    }
    assert "--stop-after: saved at step 1" in err


def test_a_finished_run_can_be_extended(pictures, tmp_path):
    """The rate goes on along the longer curve, not from the end of the short one, which is 0."""
    run("--data", pictures, "--out", tmp_path / "r", "--epochs", 2, *TINY)
    run("--out", tmp_path / "r", "--resume", "--epochs", 4)
    with open(tmp_path / "r" / "metrics.csv", encoding="utf-8", newline="") as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file)]
    expected = [0.01 * (1 + np.cos(np.pi * epoch / 4)) / 2 for epoch in (2, 3)]
    np.testing.assert_allclose(rates[10::5], expected, rtol=1e-9)
    run("--out", tmp_path / "r", "--resume", "--stop-after", 20)
    assert len(rates) == len(losses(tmp_path / "r")) == 20


def test_unreadable_pictures_are_counted_and_skipped(pictures, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(pictures, root)
    first = sorted((root / "train").rglob("*.JPEG"))[:3]
    first[0].write_bytes(b"")
    first[1].write_bytes(first[1].read_bytes()[:300])
    first[2].write_bytes(b"not an image at all")
    out, _ = run("--data", root, "--out", tmp_path / "r", "--epochs", 1, *TINY)
    assert "3 images could not be read and were skipped:" in out
    assert all(str(path) in out for path in first)
    error = one_line(run("--data", root, "--out", tmp_path / "s", "--epochs", 1, "--strict", *TINY, code=2)[1])
    assert error.startswith("error:") and "Traceback" not in error


def test_an_evaluation_is_the_mean_over_what_can_be_read(pictures, tmp_path):
    run("--data", pictures, "--out", tmp_path / "r", "--epochs", 1, *TINY)
    checkpoint = tmp_path / "r" / "checkpoint.safetensors"
    root = shutil.copytree(pictures, tmp_path / "data")
    broken = sorted((root / "val").rglob("*.JPEG"))[::3]
    for path in broken:
        path.write_bytes(b"not an image")
    with_broken, _ = run("--data", root, "--evaluate", checkpoint)
    for path in broken:
        path.unlink()
    without, _ = run("--data", root, "--evaluate", checkpoint)
    assert with_broken.splitlines()[-2:] == without.splitlines()[-2:]


@pytest.mark.parametrize("devices", ["cpu", "emu:0"])  # emu:0 reads losses later, but the rates of their steps
def test_the_rate_rises_step_by_step(pictures, tmp_path, devices):
    """5 steps per epoch, two epochs from a tenth of the rate to all of it; stopped and resumed in between."""
    arguments = ["--data", pictures, "--warm-up", 2, "--epochs", 3, "--schedule", "plateau", *TINY]
    arguments += ["--devices", devices]
    run(*arguments, "--out", tmp_path / "r", "--stop-after", 7)
    run("--out", tmp_path / "r", "--resume")
    with open(tmp_path / "r" / "metrics.csv", encoding="utf-8", newline="") as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(rates, [0.01 * (0.1 + 0.09 * min(step, 10)) for step in range(15)], rtol=1e-9)


def without_a_class(root):
    shutil.rmtree(root / "val" / "star")
    return "missing star"


def with_an_empty_class(root):
    (root / "train" / "empty").mkdir()
    (root / "val" / "empty").mkdir()
    return "no images in class empty"


def without_training_set(root):
    shutil.rmtree(root / "train")
    return "train does not exist"


@pytest.mark.parametrize("spoil", [without_a_class, with_an_empty_class, without_training_set])
def test_bad_folders_are_one_line(pictures, tmp_path, spoil):
    shutil.copytree(pictures, tmp_path / "data")
    message = spoil(tmp_path / "data")
    assert message in one_line(run("--data", tmp_path / "data", "--out", tmp_path / "r", *TINY, code=2)[1])
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--variant", "tanh,gelu"], "--variant must be names out of tanh, "),
        (["--augment", "flip"], "--augment must be names out of crops, "),
        (["--dropout", "1"], "--dropout must be less than 1"),
        (["--weight-decay", "-1"], "--weight-decay must be 0 or more"),
        (["--devices", "tpu"], "device must be 'cpu', 'cuda:<number>' or 'emu:<number>', got 'tpu'"),
        (["--devices", "emu:0,emu:9"], "there is no emu:9: emu devices here are emu:0 to emu:7"),
        (["--devices", "cpu,cpu,cpu"], "3 devices cannot share groups=2"),
        (["--devices", "cpu,cpu,cpu,cpu", "--width", "0.05"], "lrn1 borrows 2 channels from a neighbor"),
        (["--image-size", "40"], "image_size must be at least 63, got 40"),
        (["--batch-size", "0"], "--batch-size must be more than 0, got 0"),
        (["--lr", "-1"], "--lr must be more than 0, got -1"),
        (["--lr", "nan"], "--lr must be more than 0, got nan"),
        (["--width", "inf"], "--width must be more than 0, got inf"),
        (["--seed", "-1"], "--seed must be 0 or more, got -1"),
        (["--resume", "--evaluate", "x"], "cannot be combined"),
        (["--out", __file__], "--out must be a folder"),
        (["--width", "50"], "--width 50, --image-size 63 and --batch-size 16 need at least"),
        (["--width", "1e30"], "GiB of memory; there are"),
        (["--image-size", "50000"], "--image-size 50000 and --batch-size 16 need at least"),
        (["--batch-size", "1000000000"], "GiB of memory; there are"),
        (["--epochs", "10000000000"], "--epochs must be at most 1,000,000,000, got 10,000,000,000"),
        (["--data", ""], "--data must not be empty"),
        (["--evaluate", str(EXAMPLE.parent)], "is a folder: a checkpoint in it would be"),
        (["--predict", "picture.png"], "--predict needs a checkpoint, such as runs/NAME/checkpoint.safetensors, and"),
        (["--predict", "none.safetensors", "picture.png"], "none.safetensors: there is no such checkpoint"),
    ],
)
def test_bad_arguments_are_one_line(pictures, tmp_path, arguments, message):
    assert message in one_line(run("--data", pictures, "--out", tmp_path / "r", *TINY, *arguments, code=2)[1])


def test_checkpoints_that_do_not_fit_are_one_line(pictures, tmp_path):
    run("--data", pictures, "--out", tmp_path / "r", "--stop-after", 1, *TINY)
    path = tmp_path / "r" / "checkpoint.safetensors"
    fewer = tmp_path / "fewer"
    shutil.copytree(pictures, fewer)
    for part in ("train", "val"):
        shutil.rmtree(fewer / part / "star")
    error = one_line(run("--data", fewer, "--evaluate", path, code=2)[1])
    assert "knows the classes arrow, circle, crescent, ... (10 in all)" in error and "(9 in all)" in error
    (fewer / "train" / "star").mkdir()
    extra = sorted((pictures / "train" / "star").iterdir())[0]
    shutil.copy(extra, fewer / "train" / "star")
    shutil.copytree(pictures / "val" / "star", fewer / "val" / "star")
    assert "list of files" in one_line(run("--data", fewer, "--out", tmp_path / "r", "--resume", code=2)[1])
    path.write_bytes(path.read_bytes()[:-100])
    assert "truncated" in one_line(run("--out", tmp_path / "r", "--resume", code=2)[1])
    safetensors.numpy.save_file({"conv1.weight": np.zeros((96, 3, 11, 11))}, path)
    assert "not a checkpoint of tinynet" in one_line(run("--data", pictures, "--evaluate", path, code=2)[1])
    assert "there is no such checkpoint" in one_line(run("--out", tmp_path / "none", "--resume", code=2)[1])


def test_a_full_disk_is_one_line_and_keeps_the_last_checkpoint(pictures, tmp_path):
    run("--data", pictures, "--out", tmp_path / "r", "--stop-after", 2, *TINY)
    path = tmp_path / "r" / "checkpoint.safetensors"
    good = path.read_bytes()

    def little_space():  # no file may grow beyond 30 kB: the metrics fit, a checkpoint does not
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    error = one_line(run("--out", tmp_path / "r", "--resume", "--epochs", 1, code=1, preexec_fn=little_space)[1])
    assert error.startswith("error: the disk is full")
    assert path.read_bytes() == good
    assert {p.name for p in path.parent.iterdir()} == {"checkpoint.safetensors", "config.json", "metrics.csv"}


def test_a_loss_that_is_not_finite_names_the_layer_and_keeps_the_checkpoint(pictures, tmp_path):
    arguments = ["--data", pictures, "--out", tmp_path / "r", "--checkpoint-every", 1, "--lr", "1e25", *TINY]
    error = one_line(run(*arguments, code=1)[1])
    assert re.search(r"the (gradient|output) of (conv|fc|relu|lrn)\S+ (was|is) not finite|is not finite", error)
    weights = safetensors.numpy.load_file(tmp_path / "r" / "checkpoint.safetensors")
    assert all(np.isfinite(array).all() for array in weights.values())


def test_nothing_is_drawn_before_devices_and_sizes_are_checked(tmp_path):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    for arguments in (["--image-size", 62], ["--devices", "emu:9"], ["--width", "1e6"]):
        assert one_line(run(*arguments, code=2, env=environment, cwd=tmp_path)[1]).startswith("error: ")
    assert not {"tinynet", "runs"} & set(os.listdir(tmp_path))


def test_without_a_compiler_an_emulated_gpu_is_one_line(pictures, tmp_path):
    environment = os.environ | {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("CXX", None)
    (tmp_path / "ziglang.py").write_text("raise SystemExit(1)")  # hides the compiler that pip installs
    error = one_line(run("--data", pictures, "--devices", "emu:0", *TINY, code=2, env=environment, cwd=tmp_path)[1])
    assert "compiler" in error and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("spoil, message", [
    (lambda path: path.write_text("my own notes\n"), "metrics.csv does not begin with the columns of a run"),
    (lambda path: path.write_text(path.read_text().replace("\n2,", "\nx,")), "metrics.csv: line 3 is not of a run"),
    (lambda path: path.unlink(), None),
    (lambda path: path.write_text(""), None),
])
def test_metrics_that_are_garbage_or_gone(pictures, tmp_path, spoil, message):
    run("--data", pictures, "--out", tmp_path / "r", "--stop-after", 4, *TINY)
    path = tmp_path / "r" / "metrics.csv"
    spoil(path)
    before = path.read_text() if path.exists() else ""
    if message:
        assert message in one_line(run("--out", tmp_path / "r", "--resume", "--stop-after", 6, code=2)[1])
        assert path.read_text() == before
    else:
        out, _ = run("--out", tmp_path / "r", "--resume", "--stop-after", 6)
        assert "has 0 of 4 steps; the run goes on without the others" in out
        assert len(losses(tmp_path / "r")) == 2
        run("--out", tmp_path / "r", "--resume", "--epochs", 2)  # and once more, to the end, figures and all
        assert len(losses(tmp_path / "r")) == 6


def rewrite(path, options=None, **change):
    """A checkpoint with other options or arrays, and a checksum that is right: as somebody might make one by hand."""
    state = training.load(path)
    arrays = {name if part == "model" else f"{part}/{name}": array
              for part, own in state.arrays.items() for name, array in own.items()} | change
    info = state.info | {"options": state.info["options"] | (options or {})}
    text = json.dumps({"format": 2, "parts": state.states, "info": info})
    safetensors.numpy.save_file(arrays, path, {"tinynet": text, "checksum": checksum(text, arrays)})


def test_a_weight_that_is_not_finite_is_not_evaluated(pictures, tmp_path):
    run("--data", pictures, "--out", tmp_path / "r", "--stop-after", 1, *TINY)
    path = tmp_path / "r" / "checkpoint.safetensors"
    weight = training.load(path).arrays["model"]["fc7.weight"]
    weight[3, 4] = np.nan
    rewrite(path, **{"fc7.weight": weight})
    assert "fc7.weight is not finite" in one_line(run("--evaluate", path, code=2)[1])


def test_a_checkpoint_that_asks_for_more_than_it_has(pictures, tmp_path):
    """1.7 MB that would make a network of 10^9 outputs: seen before anything is allocated."""
    run("--data", pictures, "--out", tmp_path / "r", "--stop-after", 1, *TINY)
    path = tmp_path / "r" / "checkpoint.safetensors"
    original = path.read_bytes()
    for change, message in (({"outputs": 10**9}, "fc8 has 10 outputs, expected 1000000000"),
                            ({"width": 3.0}, r"conv1.weight has shape \(4, 3, 11, 11\), expected \(288, 3, 11, 11\)"),
                            ({"lr": "fast"}, "its lr is 'fast', expected float")):
        path.write_bytes(original)
        rewrite(path, change)
        for arguments in (["--evaluate", path], ["--resume", "--out", tmp_path / "r"]):
            assert re.search(message, one_line(run(*arguments, code=2)[1]))


def test_without_arguments_it_says_what_it_does(tmp_path):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    process = start(cwd=tmp_path, env=environment)
    first = process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert "small AlexNet on drawn shapes" in first and "--data DIR --preset paper" in first


@pytest.mark.parametrize("devices", ["emu:0", "emu:0,emu:1"])
def test_emulated_gpus_train_as_the_cpu_does(pictures, tmp_path, devices):
    """The same losses from the CUDA kernels; and either goes on from the other's checkpoint."""
    arguments = ["--data", pictures, "--lr", 0.002, *TINY]
    run(*arguments, "--stop-after", 6, "--devices", devices, "--out", tmp_path / "emu")
    run(*arguments, "--stop-after", 6, "--devices", devices.replace("emu:0", "cpu").replace("emu:1", "cpu"),
        "--out", tmp_path / "cpu")
    ours, theirs = (np.array(losses(tmp_path / name), float) for name in ("emu", "cpu"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert len(set(theirs)) == 6
    run("--out", tmp_path / "emu", "--resume", "--stop-after", 7, "--devices", "cpu")
    run("--out", tmp_path / "cpu", "--resume", "--stop-after", 7, "--devices", devices)
    assert len(losses(tmp_path / "emu")) == len(losses(tmp_path / "cpu")) == 7


def test_out_of_memory_is_one_line_with_the_batch_that_fits(pictures, tmp_path):
    limited = (
        "import runpy, sys; from tinynet import emulator\n"
        "emulator.xp.get_default_memory_pool().set_limit(size=2**21)\n"
        "sys.argv[0] = sys.argv.pop(1); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    arguments = ["--data", pictures, *TINY, "--devices", "emu:0", "--out", tmp_path / "r"]
    command = [sys.executable, "-c", limited, str(EXAMPLE), *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert process.returncode == 1
    assert re.search(r"error: emu:0: out of memory with batches of 16; --batch-size \d fits", one_line(process.stderr))
