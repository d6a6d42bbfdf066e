import numpy as np
import pytest

import tinynet
from tinynet import functional as F


def test_already_there(device):
    x = tinynet.tensor([1.0, 2.0], requires_grad=True, device=device)
    assert F.to_device(x, device) is x
    assert x.to(device) is x


def test_there_and_back(device):
    """The gradient arrives on x's device, through both moves."""
    x = tinynet.tensor([1.0, 2.0], requires_grad=True)
    there = x.to(device) * 3
    assert there.device == device
    y = there.to("cpu")
    assert y.device == "cpu"
    np.testing.assert_array_equal(y.numpy(), [3, 6])
    y.backward([1.0, 10.0])
    assert x.grad.tolist() == [3, 30]


class Elsewhere:
    """Stands in for a second device on a machine without one: records where arrays are moved."""

    def __init__(self, monkeypatch):
        self.moves = []
        monkeypatch.setattr(tinynet.backend, "to_device", self.move)

    def move(self, x, device):
        self.moves.append(device)
        return x.copy()


def test_backward_moves_the_cotangent_home(monkeypatch):
    x = tinynet.tensor([1.0, 2.0], requires_grad=True)
    elsewhere = Elsewhere(monkeypatch)
    y = F.to_device(x, "cuda:1")
    assert elsewhere.moves == ["cuda:1"]
    y.backward([1.0, 10.0])
    assert elsewhere.moves == ["cuda:1", "cpu"]
    assert x.grad.tolist() == [1, 10]


def test_bad_arguments():
    x = tinynet.tensor([1.0])
    for device in ("gpu", "cuda", "cuda:x", "cpu:0", 0, None):
        with pytest.raises(ValueError, match="device must be 'cpu', 'cuda:<number>' or 'emu:<number>', got"):
            x.to(device)
    with pytest.raises(TypeError, match=r"to_device: input must be a tinynet.Tensor, got ndarray"):
        F.to_device(np.ones(1), "cpu")
