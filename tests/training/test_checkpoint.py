import json
import os

import numpy as np
import pytest
import safetensors.numpy

import tinynet
from tinynet import checkpoint, nn, optim
from tinynet import functional as F


def trained(steps=3, seed=0):
    tinynet.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 2))
    optimizer = optim.PaperSGD(model.parameters(), lr=0.1)
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


def test_going_on_from_a_checkpoint_gives_equal_bits(tmp_path):
    model, optimizer = trained()
    checkpoint.save(tmp_path / "c", model, optimizer, {"step": 3}, {"mean": np.arange(3.0)})
    expected = train(model, optimizer, 5)
    other, other_optimizer = trained(1, seed=9)
    state = checkpoint.load(tmp_path / "c")
    checkpoint.restore(state, other, other_optimizer)
    assert train(other, other_optimizer, 5) == expected
    assert state.info["step"] == 3
    np.testing.assert_array_equal(state.extra["mean"], np.arange(3.0))


def test_other_programs_can_read_the_weights(tmp_path):
    model, optimizer = trained()
    checkpoint.save(tmp_path / "c", model, optimizer, {}, {})
    arrays = safetensors.numpy.load_file(tmp_path / "c")
    np.testing.assert_array_equal(arrays["0.weight"], model.state_dict()["0.weight"])
    assert (tmp_path / "c").stat().st_mode & 0o044 == tmp_path.stat().st_mode & 0o044


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_checkpoint_is_named(tmp_path, keep):
    model, optimizer = trained()
    path = tmp_path / "c"
    checkpoint.save(path, model, optimizer, {}, {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(checkpoint.CheckpointError, match=r"c: truncated, or not a safetensors file"):
        checkpoint.load(path)


def test_missing_foreign_and_future_files_are_named(tmp_path):
    with pytest.raises(checkpoint.CheckpointError, match=r"there is no such checkpoint"):
        checkpoint.load(tmp_path / "none")
    safetensors.numpy.save_file({"a": np.zeros(2)}, tmp_path / "foreign")
    with pytest.raises(checkpoint.CheckpointError, match=r"not a checkpoint of tinynet"):
        checkpoint.load(tmp_path / "foreign")
    future = {"tinynet": json.dumps({"format": 99})}
    safetensors.numpy.save_file({"a": np.zeros(2)}, tmp_path / "future", future)
    with pytest.raises(checkpoint.CheckpointError, match=r"format 99, this tinynet reads 1"):
        checkpoint.load(tmp_path / "future")


def test_another_architecture_changes_nothing(tmp_path):
    model, optimizer = trained()
    checkpoint.save(tmp_path / "c", model, optimizer, {}, {})
    other = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 5))
    before = other.state_dict()
    with pytest.raises(checkpoint.CheckpointError, match=r"another architecture: .*3\.weight: got shape \(2, 3\)"):
        checkpoint.restore(checkpoint.load(tmp_path / "c"), other)
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_weights_that_are_not_finite_do_not_replace_good_ones(tmp_path):
    model, optimizer = trained()
    checkpoint.save(tmp_path / "c", model, optimizer, {}, {})
    good = (tmp_path / "c").read_bytes()
    model[3].bias.data[1] = np.nan
    with pytest.raises(ValueError, match=r"not saved: 3\.bias is not finite"):
        checkpoint.save(tmp_path / "c", model, optimizer, {}, {})
    assert (tmp_path / "c").read_bytes() == good


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    model, optimizer = trained()
    checkpoint.save(tmp_path / "c", model, optimizer, {}, {})
    good = (tmp_path / "c").read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(tmp_path / "c", model, optimizer, {"step": 4}, {})
    assert (tmp_path / "c").read_bytes() == good
    assert os.listdir(tmp_path) == ["c"]
