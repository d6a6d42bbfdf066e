"""What a run keeps of conv1's filters, and what a resumed run does."""

import numpy as np
import pytest

import tinynet
from tinynet import optim, training
from tinynet.explain import FilterHistory
from tinynet.models import AlexNet


def network(devices=("cpu",), seed=1):
    tinynet.manual_seed(seed)
    return AlexNet(2, devices, width=1 / 24, image_size=63)


def set_to(model, value):
    for part in dict(model.named_arrays())["conv1.weight"]:
        part.data[...] = value


@pytest.mark.parametrize("devices", [("cpu",), ("cpu", "cpu")])
def test_filters_are_noted_at_0_and_at_powers_of_2(devices):
    model = network(devices)
    initial = model.state_dict()["conv1.weight"]
    history = FilterHistory(model)
    for epoch in range(1, 10):
        set_to(model, epoch)
        history.note(epoch, model)
    assert list(history.filters) == [0, 1, 2, 4, 8]
    np.testing.assert_array_equal(history.filters[0], initial)
    assert {epoch: filters.shape == initial.shape and set(filters.ravel()) == {epoch}
            for epoch, filters in history.filters.items() if epoch} == dict.fromkeys([1, 2, 4, 8], True)


def saved(path, model, history):
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    parts = {"model": model, "optimizer": optimizer} | ({"filters": history} if history else {})
    training.Checkpoint(path, **parts).save()
    return training.load(path), optimizer


def test_a_history_goes_through_a_checkpoint(tmp_path):
    model = network()
    history = FilterHistory(model)
    for epoch in range(1, 17):  # 16 comes after 2 as a number, before it as a name
        set_to(model, epoch)
        history.note(epoch, model)
    checkpoint, optimizer = saved(tmp_path / "c.safetensors", model, history)
    again = FilterHistory(network(seed=2))
    checkpoint.restore(model=model, optimizer=optimizer, filters=again)
    assert list(again.filters) == [0, 1, 2, 4, 8, 16]
    for epoch, filters in history.filters.items():
        np.testing.assert_array_equal(again.filters[epoch], filters)


def test_a_checkpoint_from_before_there_was_a_history_still_resumes(tmp_path):
    model = network()
    history = FilterHistory(model)
    initial = history.filters[0]
    set_to(model, 5)
    checkpoint, optimizer = saved(tmp_path / "c.safetensors", model, None)
    checkpoint.restore(model=model, optimizer=optimizer, filters=history)
    assert list(history.filters) == [0]
    np.testing.assert_array_equal(history.filters[0], initial)


@pytest.mark.parametrize("state", [
    {"0": np.zeros((4, 3, 5, 5))}, {"0": np.full((4, 3, 11, 11), np.nan)}, {"-1": np.zeros((4, 3, 11, 11))}, {"2": 3},
])  # fmt: skip
def test_what_is_no_history_is_refused_and_changes_nothing(state):
    history = FilterHistory(network())
    before = history.filters
    assert before[0].shape == (4, 3, 11, 11)
    with pytest.raises(ValueError, match=r"finite filters \(4, 3, 11, 11\) by epoch, got (0|-1|2): "):
        history.load_state_dict(state)
    assert history.filters is before
