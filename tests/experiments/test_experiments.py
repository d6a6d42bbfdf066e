"""Every experiment runs in its tiny form, goes on where it was stopped, and refuses what cannot be."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import alexnet_imagenet as example
import numpy as np
import pytest
from PIL import Image

from tinynet import data
from tinynet.experiments.__main__ import NAMES, main, module
from tinynet.experiments.fit import NETWORK, fit
from tinynet.experiments.images import Images, Source
from tinynet.experiments.networks import make_network
from tinynet.experiments.setting import TINY, Setting
from tinynet.parallel import Ranks
from tinynet.training import load

ROOT = Path(__file__).resolve().parents[2]
SHAPES = Source("shapes", tiny=True)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A folder with what all experiments found."""
    folder = tmp_path_factory.mktemp("experiments")
    assert main(["all", "--tiny", "--seeds", "1", "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_writes_its_table_and_its_figure(everything, name):
    page = (everything / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {name}: {module(name).CLAIM}\n")
    assert "80 training and 40 validation images of 10 classes" in page
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(rows) >= 3 and "nan" not in page
    with Image.open(everything / f"{name}.png") as figure:
        gray = np.asarray(figure.convert("L"))
    assert 0.01 < (gray < 200).mean() < 0.5, "an empty picture, or a black one"


def test_what_is_done_is_not_done_again(everything, capsys):
    before = {path: path.stat().st_mtime_ns for path in everything.rglob("result.json")}
    assert len(before) > 30
    page = (everything / "lrn.md").read_text()
    assert main(["lrn", "--tiny", "--seeds", "1", "--out", str(everything)]) == 0
    assert {path: path.stat().st_mtime_ns for path in everything.rglob("result.json")} == before
    assert (everything / "lrn.md").read_text() == page


def test_no_experiment_is_long_and_all_are_listed(capsys):
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == list(NAMES) and len(NAMES) == 15
    folder = ROOT / "tinynet" / "experiments"
    for name in NAMES:
        path = folder / f"{name.replace('-', '_')}.py"
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 80, path.name
        assert module(name).CLAIM in listed[NAMES.index(name)]
    parts = {"__init__", "__main__", "fit", "images", "laboratory", "networks", "page", "setting", "workers"}
    assert {path.stem for path in folder.glob("*.py")} == parts | {name.replace("-", "_") for name in NAMES}


class Stop(Exception):
    pass


def run_to_the_end(folder, setting, stop_after=None):
    """A run, broken off `stop_after` epochs after it began, and then begun again."""
    epochs = []

    def after_epoch():
        epochs.append(1)
        if len(epochs) == stop_after:
            raise Stop

    if stop_after:
        with pytest.raises(Stop):
            fit(folder, SHAPES, setting, after_epoch)
        assert not (folder / "result.json").exists()
    fit(folder, SHAPES, setting, lambda: epochs.append(1))
    assert len(epochs) == setting.epochs
    return json.loads((folder / "result.json").read_text()), load(folder / NETWORK).arrays["model"]


def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path):
    setting = TINY.but(epochs=3, seed=4, schedule="plateau", weight_decay=0.01)
    results = [run_to_the_end(tmp_path / name, setting, stop) for name, stop in (("whole", None), ("parts", 2))]
    (whole, weights), (parts, others) = results
    assert whole["losses"] == parts["losses"] and len(whole["losses"]) == 30
    assert whole["trained_loss"] == parts["trained_loss"]
    assert all(np.array_equal(weights[name], others[name]) for name in weights)


def test_a_run_that_was_stopped_while_it_wrote_its_result_writes_it(tmp_path, monkeypatch):
    def stopped(path):
        raise Stop

    monkeypatch.setattr("tinynet.experiments.fit.replacing", stopped)
    with pytest.raises(Stop):
        fit(tmp_path / "run", SHAPES, TINY, lambda: None)
    monkeypatch.undo()
    fit(tmp_path / "run", SHAPES, TINY, lambda: pytest.fail("trained again"))
    whole, _ = run_to_the_end(tmp_path / "whole", TINY)
    again = json.loads((tmp_path / "run" / "result.json").read_text())
    assert again["losses"] == whole["losses"] and again["trained_loss"] == whole["trained_loss"]
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"result.json", NETWORK}


def test_a_run_is_that_of_the_example(tmp_path, monkeypatch):
    """One loop here and one there: the same settings give the same bits."""
    monkeypatch.chdir(tmp_path)
    shapes = data.shapes(train=80, val=40, side=72)
    setting = TINY.but(epochs=2, recipe="paper", dropout=0.3, variant="tanh", augment="crops,colors", lr=0.001)
    fit(tmp_path / "run", SHAPES, setting, lambda: None)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    options = f"""--data {shapes} --devices cpu --recipe paper --dropout 0.3 --variant tanh --augment crops,colors
        --lr 0.001 --width 0.0625 --image-size 63 --epochs 2 --batch-size 8 --out {tmp_path}/other"""
    example.main(Ranks(), options.split())
    with open(tmp_path / "other" / "metrics.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == pytest.approx(result["losses"], rel=1e-6)
    evaluated = [float(row["val_loss"]) for row in rows if row["val_loss"]]
    assert evaluated == pytest.approx([row["val_loss"] for row in result["epochs"]], rel=1e-6)


def test_weights_are_handed_on(tmp_path):
    """Frozen layers stay as they are, and the others learn."""
    first = TINY.but(classes=(5, 10))
    frozen = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")
    _, before = run_to_the_end(tmp_path / first.key(Images(first, SHAPES).digest), first)
    _, other = run_to_the_end(tmp_path / "other", TINY.but(classes=(0, 5), start=first, frozen=frozen))
    _, same = run_to_the_end(tmp_path / "same", TINY.but(classes=(5, 10), start=first, frozen=("conv1",)))
    changed = {name for name in before if not np.array_equal(before[name], other[name])}
    assert changed == {"fc8.weight", "fc8.bias"}
    assert {name for name in before if np.array_equal(before[name], same[name])} == {"conv1.weight", "conv1.bias"}


def test_the_last_layer_begins_anew_for_other_classes(tmp_path):
    first, still = TINY.but(classes=(5, 10)), dict(lr=1e-12, weight_decay=0.0, seed=2)
    _, before = run_to_the_end(tmp_path / first.key(Images(first, SHAPES).digest), first)
    other, same = (TINY.but(classes=classes, start=first, **still) for classes in ((0, 5), (5, 10)))
    drawn = make_network(other, 5).state_dict()["fc8.weight"]
    for setting, name, expected in ((other, "other", drawn), (same, "same", before["fc8.weight"])):
        _, weights = run_to_the_end(tmp_path / name, setting)
        np.testing.assert_allclose(weights["fc8.weight"], expected, atol=1e-6)
        np.testing.assert_allclose(weights["fc7.weight"], before["fc7.weight"], atol=1e-6)


def test_training_ends_when_its_error_is_low_enough(tmp_path):
    fit(tmp_path, SHAPES, TINY.but(epochs=5, until=1.0), lambda: None)
    assert len(json.loads((tmp_path / "result.json").read_text())["epochs"]) == 1


def test_settings_that_differ_have_other_folders():
    keys = {setting.key("files") for setting in (TINY, TINY.but(seed=2), TINY.but(start=TINY), Setting())}
    assert len(keys) == 4 and TINY.key("files") == TINY.but().key("files") != TINY.key("others")


@pytest.mark.parametrize("arguments, line", [
    (["pool"], "there is no experiment pool; there are relu-vs-tanh, lrn, "),
    (["lrn", "--seeds", "0"], "--seeds: expected a whole number above 0, got 0"),
    (["lrn", "--data", "nowhere"], "nowhere/train does not exist; expected a folder with train/<class>/<images>"),
    (["lrn", "--data", "lean"], "lean has 2 training and 10 validation images; experiments need at least 40 and 10"),
    (["lrn", "--device", "cuda:9"], "cuda"),
    (["lrn", "--device", "gpu"], "gpu"),
    (["lrn", "--full", "--tiny"], "not allowed with argument"),
    (["pretrain", "--data", "two"], "pretrain needs at least 4 classes; two has 2"),
    (["lrn", "--data", "few"], "few has 2 training and 2 validation images; experiments need at least 40 and 10"),
    (["lrn", "--data", "two", "--out", "a-file"], "a-file"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(tmp_path, monkeypatch, capsys, arguments, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").write_text("")
    for root, train, val in (("few", 1, 1), ("lean", 1, 5), ("two", 20, 5)):
        for name in ("train/cat", "train/dog", "val/cat", "val/dog"):
            (tmp_path / root / name).mkdir(parents=True)
            for i in range(train if name.startswith("train") else val):
                Image.new("RGB", (40, 40)).save(tmp_path / root / name / f"{i}.png")
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert line in printed.err and printed.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_ends_all_processes_and_the_command_goes_on(tmp_path):
    command = [sys.executable, "-m", "tinynet.experiments", "decay", "--tiny", "--epochs", "200", "--seeds", "1",
               "--out", str(tmp_path)]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    while not list(tmp_path.glob("runs/*/checkpoint.safetensors")):
        assert program.poll() is None, program.communicate()
        time.sleep(0.05)
    program.send_signal(signal.SIGINT)
    _, error = program.communicate(timeout=60)
    assert program.returncode == 130 and "stopped; the same command goes on" in error.splitlines()[-1]
    assert "Traceback" not in error
