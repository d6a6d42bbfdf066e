"""What the tests of the emulator share: launching a kernel on NumPy arrays."""

import numpy as np
import pytest

from tinynet.emulator import xp

SHUFFLED = pytest.mark.parametrize("mode", [{}, dict(shuffle=3)], ids=str)
MODES = [{}, dict(shuffle=1), dict(debug=True), dict(sanitize=True), dict(racecheck=True)]
ALL_MODES = pytest.mark.parametrize("mode", MODES, ids=str)


def launch(code, *args, grid=(1,), block=(32,), shared_mem=0, options=(), name="f"):
    """Runs a kernel on copies of the NumPy arrays among args; returns the copies, as NumPy arrays."""
    kernel = xp.RawModule(code=code, options=options).get_function(name)
    args = [xp.asarray(a) if isinstance(a, np.ndarray) and a.dtype.kind != "V" else a for a in args]
    kernel(grid, block, tuple(args), shared_mem=shared_mem)
    results = [a.get() for a in args if isinstance(a, xp.ndarray)]
    return results[0] if len(results) == 1 else results


def zeros(*shape, dtype="float32"):
    return np.zeros(shape, dtype)
