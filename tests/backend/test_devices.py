import numpy as np
import pytest

from tinynet import backend


def test_devices_are_named():
    assert backend.device_of(np.zeros(1)) == "cpu"
    for wrong in ("gpu", "cuda", "cuda:", "cuda:x", "cpu:0", "emu", 0, None):
        with pytest.raises(ValueError, match=r"device must be 'cpu', 'cuda:<number>' or 'emu:<number>', got"):
            backend.check_device(wrong)
    with pytest.raises(RuntimeError, match="there is no emu:99: emu devices here are emu:0 to emu:7"):
        backend.use_device("emu:99")
    with pytest.raises(TypeError, match="expected a NumPy, CuPy or emulated array, got list"):
        backend.array_module([1])


def test_to_another_device_and_back(rng, device):
    x = rng.standard_normal((2, 3))
    there = backend.to_device(x, device)
    assert backend.device_of(there) == device
    assert backend.to_device(there, device) is there
    np.testing.assert_array_equal(backend.to_device(there, "cpu"), x)
    elsewhere = backend.to_device(there, "emu:1")
    assert backend.device_of(elsewhere) == "emu:1"
    np.testing.assert_array_equal(backend.to_device(elsewhere, "cpu"), x)
