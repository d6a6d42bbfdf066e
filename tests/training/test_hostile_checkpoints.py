"""Checkpoints made by hand, with a checksum that is right, that no run ever wrote: what fuzz.py found."""

import copy
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import tinynet
from tinynet import nn, optim, training
from tinynet.training.checkpoint import checksum


def parts():
    tinynet.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return {"model": model, "optimizer": optimizer, "schedule": optim.StepLR(optimizer, 2)}


@pytest.fixture
def path(tmp_path):
    training.Checkpoint(tmp_path / "c", **parts()).save(options={}, classes=[], files="", threads=1)
    return tmp_path / "c"


def rewritten(path, *steps, value="gone"):
    """The checkpoint with another value at `steps` of its state, or with none there."""
    with safetensors.safe_open(path, framework="numpy") as file:
        state = json.loads(file.metadata()["tinynet"])
    node = state
    for step in steps[:-1]:
        node = node[step]
    if isinstance(value, str) and value == "gone":
        del node[steps[-1]]
    else:
        node[steps[-1]] = value
    arrays, text = safetensors.numpy.load_file(path), json.dumps(state)
    safetensors.numpy.save_file(arrays, path, {"tinynet": text, "checksum": checksum(text, arrays)})


@pytest.mark.parametrize("steps, value", [
    (["format"], "two\nlines"), (["format"], [["x" * 10**5]]), (["format"], float("nan")), (["format"], True),
    (["format"], 1), (["parts"], 0), (["parts"], "gone"), (["parts"], [[]]), (["parts", "schedule"], "x"),
    (["info"], None), (["info"], [0]), (["parts", "schedule", "t"], "two\nlines"),
    (["parts", "schedule", "rates"], [10**400]), (["parts", "generator"], "gone"), (["parts", "generator"], {"a": 1}),
    (["parts", "generator", "state", "state"], -1), (["parts", "optimizer", "scalars"], 5),
    (["parts", "optimizer", "scalars"], {"0.weight": 7}), (["parts", "optimizer", "groups", 0, "lr"], 10**400),
    (["parts", "optimizer", "groups"], {"": {}}), (["parts", "optimizer"], "gone"),
])
def test_any_value_anywhere_is_one_line_and_changes_nothing(path, steps, value):
    rewritten(path, *steps, value=value)
    ours = parts()
    before = content(ours)
    with pytest.raises(training.CheckpointError) as error:
        training.load(path).restore(**ours)
    assert str(error.value).isprintable() and len(str(error.value)) <= 2000
    assert content(ours) == before


def content(parts):
    return repr([tinynet.backend.generator().bit_generator.state, *(part.state_dict() for part in parts.values())])


@pytest.mark.parametrize("shape", [[0, 2**62, 4], [0, 2**63], [0, 2**64 - 1, 1]])
def test_an_array_without_bytes_may_claim_any_size(path, shape):
    text = json.dumps({"format": 2, "parts": {}, "info": {}})
    header = {"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}, "__metadata__": {"tinynet": text}}
    header = json.dumps(header).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(training.CheckpointError):
        training.load(path)


def test_a_name_of_two_lines_is_printed_in_one(path):
    with safetensors.safe_open(path, framework="numpy") as file:
        text = file.metadata()["tinynet"]
    arrays = safetensors.numpy.load_file(path) | {"two\nlines": np.array([np.nan])}
    safetensors.numpy.save_file(arrays, path, {"tinynet": text, "checksum": checksum(text, arrays)})
    with pytest.raises(training.CheckpointError, match=r"two\\nlines is not finite"):
        training.load(path).restore(model=parts()["model"])


FIRST = {"format": 1, "generator": {}, "classes": [], "files": "f", "options": {}, "threads": 2, "step": 9,
         "evaluated": 2, "loader": {}, "schedule": {"rates": []}, "colours": [[1.0], [[1.0]]]}


@pytest.mark.parametrize("change", [
    *({name: "gone"} for name in ("generator", "step", "evaluated", "loader", "schedule", "colours")),
    {"options": 5}, {"colours": [1]}, {"colours": 1}, {"colours": [[1, [2]], 0]}, {"schedule": "x"}, {"schedule": {}},
])
def test_the_first_format_is_read_as_carefully(tmp_path, change):
    def write(state):
        safetensors.numpy.save_file({"a": np.zeros(2)}, tmp_path / "c", {"tinynet": json.dumps(state)})

    write(FIRST)
    training.load(tmp_path / "c")
    write({name: value for name, value in (copy.deepcopy(FIRST) | change).items() if value != "gone"})
    with pytest.raises(training.CheckpointError, match="not what tinynet writes"):
        training.load(tmp_path / "c")


@dataclass
class Options:
    devices: str = training.option("cpu")


@pytest.mark.parametrize("name, value", [("options", 5), ("options", []), ("classes", 3), ("files", None),
                                         ("threads", "\ud800")])
def test_what_is_not_of_this_program_is_named(path, name, value):
    rewritten(path, "info", name, value=value)
    with pytest.raises(training.CheckpointError, match="not of this program"):
        training.resumed_options(Options, training.load(path), {})


def test_a_text_longer_than_any_path_is_not_repeated(path):
    rewritten(path, "info", "options", value={"devices": "x" * 10**5})
    with pytest.raises(training.CheckpointError, match="its devices has 100,000 characters"):
        training.resumed_options(Options, training.load(path), {})


@pytest.mark.parametrize("state", [{"step": {}, "evaluated": 0}, {"step": 1, "evaluated": -1}, {"step": 1.5}, {}])
def test_a_progress_that_is_none(state):
    progress = training.Progress.__new__(training.Progress)
    with pytest.raises((TypeError, ValueError, KeyError)):  # restore() makes them a CheckpointError
        progress.load_state_dict(state)


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_fuzz():
    """An hour: python tests/training/fuzz.py --seconds 3600"""
    command = [sys.executable, Path(__file__).with_name("fuzz.py"), "--cases", "200"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert done.stdout == "200 cases, 0 failures\n"
