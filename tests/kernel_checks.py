"""What the tests of the CUDA kernels share: where they run, in which modes of the emulator, and comparisons."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tinynet import backend, emulator

# For a test that asks for `device`: everywhere but on the CPU, which has no kernels.
where_kernels_run = pytest.mark.parametrize(
    "device", ["emu:0", pytest.param("cuda:0", marks=pytest.mark.gpu)], indirect=True
)
many_examples = settings(  # `device` is only a name: it can stay the same for all examples
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ALEXNET = {  # its convolutions on a single device: C, H, W, K, R, S, stride, padding, dilation, groups
    "conv1": (3, 224, 224, 96, 11, 11, 4, 2, 1, 1),
    "conv2": (96, 27, 27, 256, 5, 5, 1, 2, 1, 2),
    "conv3": (256, 13, 13, 384, 3, 3, 1, 1, 1, 1),
    "conv4": (384, 13, 13, 384, 3, 3, 1, 1, 1, 2),
    "conv5": (384, 13, 13, 256, 3, 3, 1, 1, 1, 2),
}
MODES = [dict(shuffle=1), dict(shuffle=2), dict(shuffle=3), dict(sanitize=True), dict(racecheck=True)]


def put(device, *arrays):
    """The arrays on the device; None stays None."""
    return [None if a is None else backend.to_device(a, device) for a in arrays]


def fetch(result):
    """What a launcher returned, an array or a tuple of them, as a list of NumPy arrays."""
    return [backend.to_device(a, "cpu") for a in (result if isinstance(result, tuple) else (result,))]


def assert_results(result, expected, dtype=None, rtol=0, atol=0):
    """What a launcher returned is what NumPy says, to the bit by default. dtype: by default that of `expected`."""
    for ours, theirs in zip(fetch(result), expected, strict=True):
        assert (ours.dtype, ours.shape) == (dtype or theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


def assert_same_bits_always(device, run, *arrays):
    """run(*arrays) gives the same bits a second time; on arrays that are not contiguous; and on the emulator with the
    threads in any order, and under the sanitizers, which stop it if it accesses what it must not. run may change the
    arrays: it gets new ones each time.
    """
    expected = fetch(run(*put(device, *arrays)))
    for mode in [{}, *MODES] if device.startswith("emu") else [{}]:
        with emulator.mode(**mode):
            for first, again in zip(expected, fetch(run(*put(device, *arrays))), strict=True):
                np.testing.assert_array_equal(again, first, err_msg=str(mode))
    transposed = put(device, *(None if a is None else np.ascontiguousarray(a.T) for a in arrays))
    assert_results(run(*(None if a is None else a.T for a in transposed)), expected)
