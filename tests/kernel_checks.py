"""What the tests of the CUDA kernels share: where they run, and in which modes of the emulator."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tinynet import backend, emulator

# For a test that asks for `device`: not on the CPU, which has no kernels.
where_kernels_run = pytest.mark.parametrize(
    "device", ["emu:0", pytest.param("cuda:0", marks=pytest.mark.gpu)], indirect=True
)
many_examples = settings(  # `device` is but a name: it can stay the same for all examples
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MODES = [dict(shuffle=1), dict(shuffle=2), dict(shuffle=3), dict(sanitize=True)]


def put(device, *arrays):
    """The arrays on the device; None stays None."""
    return [None if a is None else backend.to_device(a, device) for a in arrays]


def fetch(result):
    """What a launcher returned, an array or a tuple of them, as a list of NumPy arrays."""
    return [backend.to_device(a, "cpu") for a in (result if isinstance(result, tuple) else (result,))]


def assert_same_bits_always(device, run):
    """run() gives the same bits a second time, and on the emulator with the threads in any order, and
    under the sanitizers, which stop it if it reads or writes where it must not.
    """
    expected = fetch(run())
    for mode in [{}, *MODES] if device.startswith("emu") else [{}]:
        with emulator.mode(**mode):
            for first, again in zip(expected, fetch(run()), strict=True):
                np.testing.assert_array_equal(again, first, err_msg=str(mode))
