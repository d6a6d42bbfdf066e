import errno
import json
import os

import numpy as np
import pytest
import safetensors.numpy

import tinynet
from tinynet import functional as F
from tinynet import nn, optim, training
from tinynet.training.checkpoint import as_os_error
from tinynet.training.run_folder import make_folder

OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "SGD without momentum": lambda p: optim.SGD(p, lr=0.1),
    "PaperSGD": lambda p: optim.PaperSGD(p, lr=0.1),
    "Adam": lambda p: optim.Adam([{"params": p, "lr": 0.02}]),
}


def trained(steps=3, seed=0, make=OPTIMIZERS["PaperSGD"]):
    tinynet.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 2))
    optimizer = make(list(model.parameters()))
    train(model, optimizer, steps)
    return model, optimizer


def train(model, optimizer, steps):
    losses = []
    for step in range(steps):
        x = np.random.default_rng(step).standard_normal((5, 4)).astype("float32")
        loss = F.cross_entropy(model(tinynet.tensor(x)), np.arange(5) % 2)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def saved(path, model, optimizer, **info):
    training.Checkpoint(path, model=model, optimizer=optimizer).save(**info)
    return path


class Part:
    """Any part of a run. fits=False: it refuses every state but its own."""

    def __init__(self, fits=True, **state):
        self.state, self.fits = state, fits

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        if not self.fits and state is not self.state:
            raise ValueError("not mine")
        self.state = state


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("frozen", [False, True])
def test_any_optimizer_goes_on_with_equal_bits(tmp_path, name, frozen):
    def make(parameters):
        return OPTIMIZERS[name](parameters[1:] if frozen else parameters)

    model, optimizer = trained(make=make)
    saved(tmp_path / "c", model, optimizer, step=3)
    expected = train(model, optimizer, 5)
    other, theirs = trained(1, seed=9, make=make)
    theirs.param_groups[0]["lr"] = 7.0
    state = training.load(tmp_path / "c")
    state.restore(model=other, optimizer=theirs)
    assert train(other, theirs, 5) == expected
    assert state.info == {"step": 3} and len(set(expected)) == 5


def test_parts_come_back_arrays_and_all(tmp_path):
    model, optimizer = trained()
    parts = {"a": Part(mean=np.arange(3.0), count=[1, {"x": None}]), "b": Part(t=0.1 + 0.2), "absent": None}
    training.Checkpoint(tmp_path / "c", model=model, optimizer=optimizer, **parts).save()
    assert "a/mean" in safetensors.numpy.load_file(tmp_path / "c")
    a, b = Part(), Part()
    training.load(tmp_path / "c").restore(model=model, optimizer=optimizer, a=a, b=b, absent=None)
    np.testing.assert_array_equal(a.state.pop("mean"), np.arange(3.0))
    assert a.state == {"count": [1, {"x": None}]} and b.state == {"t": 0.1 + 0.2}


def test_other_programs_can_read_the_weights(tmp_path):
    model, optimizer = trained()
    arrays = safetensors.numpy.load_file(saved(tmp_path / "c", model, optimizer))
    np.testing.assert_array_equal(arrays["0.weight"], model.state_dict()["0.weight"])
    np.testing.assert_array_equal(arrays["optimizer/velocity/0.weight"], optimizer.state[model[0].weight]["velocity"])
    for folder, file in [(0o755, 0o644), (0o750, 0o640), (0o700, 0o600)]:  # for whom the folder is, so is the file
        tmp_path.chmod(folder)
        training.Checkpoint(tmp_path / "c", model=model, optimizer=optimizer).save()
        assert (tmp_path / "c").stat().st_mode & 0o777 == file


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_checkpoint_is_named(tmp_path, keep):
    path = saved(tmp_path / "c", *trained())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(training.CheckpointError, match=r"c: truncated, or not a safetensors file"):
        training.load(path)


@pytest.mark.parametrize("metadata, message", [
    (None, "not a checkpoint of tinynet"), ({"tinynet": "{"}, "not a checkpoint of tinynet"),
    ({"tinynet": json.dumps({"format": 99, "version": "7.0"})}, r"format 99 \(tinynet 7.0\), tinynet .* reads 1 and 2"),
    ({"tinynet": "[" * 100_000}, "not a checkpoint of tinynet"),
    ({"tinynet": json.dumps({"format": 2, "parts": {}, "info": {}})}, "damaged"),
])
def test_foreign_and_future_files_are_named(tmp_path, metadata, message):
    safetensors.numpy.save_file({"a": np.zeros(2)}, tmp_path / "c", metadata)
    with pytest.raises(training.CheckpointError, match=message):
        training.load(tmp_path / "c")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(training.CheckpointError, match=r"there is no such checkpoint"):
        training.load(tmp_path / "none")


def test_a_folder_is_named(tmp_path):
    with pytest.raises(training.CheckpointError, match=r"is a folder: a checkpoint in it would be .*/checkpoint.saf"):
        training.load(tmp_path)


def test_an_array_of_another_type_is_named(tmp_path):
    path = saved(tmp_path / "c", *trained())
    path.write_bytes(path.read_bytes().replace(b'"dtype":"F32"', b'"dtype":"I32"', 1))
    with pytest.raises(training.CheckpointError, match="damaged"):
        training.load(path)
    header = b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"__metadata__":{"tinynet":"{\\"format\\": 2}"}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(training.CheckpointError, match="of a type that tinynet does not write"):
        training.load(path)


def test_every_flipped_bit_is_noticed(tmp_path, rng):
    """In the weights, in the header and in its length. Padding is all that may change and mean the same."""
    path = saved(tmp_path / "c", *trained(), step=3)
    whole, expected = path.read_bytes(), training.load(path)
    header = 8 + int.from_bytes(whole[:8], "little")
    positions = [*range(8), *rng.integers(8, header, 150).tolist(), *rng.integers(header, len(whole), 100).tolist()]
    for position in positions:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            got = training.load(path)
        except training.CheckpointError:
            continue
        assert (got.states, got.info) == (expected.states, expected.info) and position < header
        for part, arrays in expected.arrays.items():
            for name, array in arrays.items():
                np.testing.assert_array_equal(got.arrays[part][name], array)


def test_a_weight_that_is_not_finite_is_refused(tmp_path, monkeypatch):
    model, optimizer = trained()
    model[3].bias.data[1] = np.inf
    with monkeypatch.context() as patch:
        patch.setattr(np, "isfinite", np.ones_like)
        saved(tmp_path / "c", model, optimizer)
    with pytest.raises(training.CheckpointError, match=r"c: 3\.bias is not finite"):
        training.load(tmp_path / "c").restore(model=trained()[0])


def test_what_a_killed_save_left_is_removed(tmp_path):
    for name in (".checkpoint.safetensors.part", ".metrics.csv.part", ".tmpAb3dE9", ".tmp", "notes.part", ".tmp-keep"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".checkpoint.safetensors.saving").mkdir()
    (tmp_path / ".checkpoint.safetensors.saving" / ".tmpXXXXXX").write_text("x")
    before = sorted(os.listdir(tmp_path))
    make_folder(tmp_path, "")
    assert sorted(os.listdir(tmp_path)) == before  # not a run's folder
    (tmp_path / "config.json").write_text("{}")
    make_folder(tmp_path, "")
    assert sorted(os.listdir(tmp_path)) == [".tmp", ".tmp-keep", "config.json", "notes.part"]


def test_a_save_that_is_killed_leaves_nothing_of_its_own_elsewhere(tmp_path, monkeypatch):
    """safetensors writes under a random name: into a folder that the next save clears."""
    model, optimizer = trained()
    save_file, seen = safetensors.numpy.save_file, []

    def killed(arrays, path, metadata):
        save_file(arrays, path, metadata)
        seen.append(path)
        path.with_name(".tmpRandom").write_text("x")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(safetensors.numpy, "save_file", killed)
        saved(tmp_path / "c", model, optimizer)
    assert seen[0].parent != tmp_path and os.listdir(tmp_path) == []


def test_what_does_not_fit_changes_nothing(tmp_path):
    """Whichever of the parts it is: another architecture, another optimizer, a part that refuses."""
    state = training.load(saved(tmp_path / "c", *trained()))
    state.states["a"] = state.states["b"] = {"x": 1}
    wide = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 5))
    part = Part(x=0)
    with pytest.raises(training.CheckpointError, match=r"another architecture: .*3\.weight: got shape \(2, 3\)"):
        state.restore(model=wide, a=part)  # no optimizer to notice it
    assert part.state == {"x": 0}
    model, optimizer = trained(2, seed=5)
    adam = OPTIMIZERS["Adam"](list(model.parameters()))
    for parts, message in (
        (dict(model=wide, optimizer=OPTIMIZERS["SGD"](list(wide.parameters()))),
         r"another architecture: .*3\.weight: got shape \(2, 3\)"),
        (dict(model=model, optimizer=adam), r"PaperSGD|Adam: the saved groups have"),
        (dict(model=model, optimizer=optimizer, a=Part(x=0), b=Part(fits=False, x=0)), "not mine"),
    ):
        before, random = parts["model"].state_dict(), tinynet.backend.generator().bit_generator.state
        theirs = json.dumps(parts["optimizer"].state_dict(), default=np.ndarray.tolist)
        with pytest.raises(training.CheckpointError, match=message):
            state.restore(**parts)
        for name, array in parts["model"].state_dict().items():
            np.testing.assert_array_equal(array, before[name])
        assert theirs == json.dumps(parts["optimizer"].state_dict(), default=np.ndarray.tolist)
        assert random == tinynet.backend.generator().bit_generator.state
        assert all(part.state == {"x": 0} for name, part in parts.items() if name in "ab")


def test_weights_that_are_not_finite_do_not_replace_good_ones(tmp_path):
    model, optimizer = trained()
    good = saved(tmp_path / "c", model, optimizer).read_bytes()
    model[3].bias.data[1] = np.nan
    with pytest.raises(tinynet.errors.RunError, match=r"not saved: 3\.bias is not finite"):
        saved(tmp_path / "c", model, optimizer)
    assert (tmp_path / "c").read_bytes() == good


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    model, optimizer = trained()
    good = saved(tmp_path / "c", model, optimizer).read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        saved(tmp_path / "c", model, optimizer, step=4)
    assert (tmp_path / "c").read_bytes() == good
    assert os.listdir(tmp_path) == ["c"]


def test_checkpoints_of_the_first_format_still_load(tmp_path):
    """Written out as tinynet 0.1.0 wrote it at first: SGD's velocity under its own prefix, British names."""
    model, optimizer = trained()
    arrays = model.state_dict() | {"extra/mean": np.arange(3.0)}
    velocity = model.state_dict(of=lambda p: optimizer.state[p]["velocity"])
    arrays |= {f"velocity/{name}": array for name, array in velocity.items()}
    rates = [group["lr"] for group in optimizer.param_groups]
    info = {
        "format": 1, "generator": tinynet.backend.generator().bit_generator.state, "classes": ["a"], "files": "f",
        "options": {"lr": 0.1, "patience": 3.0}, "threads": 2, "step": 9, "evaluated": 2, "loader": {"epoch": 2},
        "schedule": {"t": 2, "rates": rates}, "colours": [[1.0, 2.0, 3.0], np.eye(3).tolist()],
    }
    safetensors.numpy.save_file(arrays, tmp_path / "c", {"tinynet": json.dumps(info)})
    expected = train(model, optimizer, 5)
    other, theirs = trained(1, seed=9)
    progress, warm_up, loader = Part(), Part(), Part()
    state = training.load(tmp_path / "c")
    state.restore(model=other, optimizer=theirs, progress=progress, warm_up=warm_up, loader=loader)
    assert train(other, theirs, 5) == expected
    assert progress.state == {"step": 9, "evaluated": 2} and loader.state == {"epoch": 2}
    assert warm_up.state == {"t": 9, "rates": rates}
    assert state.info["options"] == {"lr": 0.1, "timeout": 3.0} and state.info["classes"] == ["a"]
    statistics = state.state_dict("statistics")
    np.testing.assert_array_equal(statistics["mean"], np.arange(3.0))
    np.testing.assert_array_equal(statistics["eigenvalues"], [1, 2, 3])
    np.testing.assert_array_equal(statistics["eigenvectors"], np.eye(3))


@pytest.mark.parametrize("words, number", [
    ("I/O error: No space left on device (os error 28)", errno.ENOSPC), ("I/O error", errno.EIO),
])
def test_safetensors_words_become_the_systems_number(words, number):
    error = as_os_error(Exception(words), "run/checkpoint.safetensors")
    assert (error.errno, error.filename) == (number, "run/checkpoint.safetensors")
