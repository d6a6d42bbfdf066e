"""sgd.cu against the optimizers on the CPU, over several steps."""

import importlib

import numpy as np
import pytest

import tinynet
from kernel_checks import assert_results, fetch, put, where_kernels_run
from tinynet import kernels
from tinynet.optim import SGD, PaperSGD

pytestmark = where_kernels_run
DEFAULTS = dict(momentum=0.0, weight_decay=0.0, dampening=0.0, nesterov=False)
SETTINGS = [(SGD, how) for how in (
    dict(momentum=0.0), dict(momentum=0.0, weight_decay=0.1), dict(momentum=0.9), dict(momentum=0.9, weight_decay=0.1),
    dict(momentum=0.8, weight_decay=0.1, dampening=0.3), dict(momentum=0.9, weight_decay=0.1, nesterov=True),
)]  # fmt: skip
SETTINGS += [(PaperSGD, dict(momentum=m, weight_decay=decay)) for m, decay in ((0.9, 0.1), (0.9, 0.0), (0.0, 0.1))]


def tolerance(dtype):
    return dict(rtol=1e-5, atol=1e-6) if dtype == np.float32 else dict(rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (4,), (5, 7), (64, 3, 11, 11), (0, 3)])
@pytest.mark.parametrize("optimizer, how", SETTINGS)
def test_three_steps(rng, dtype, device, shape, optimizer, how):
    """Against the optimizer on the CPU, in float64."""
    w, *gradients = (rng.standard_normal(shape).astype(dtype) for _ in range(4))
    parameter = tinynet.tensor(w.astype("float64"), requires_grad=True)
    optimizer = optimizer([parameter], lr=0.1, **how)
    there, v = put(device, w.copy(), np.zeros_like(w))
    for step, g in enumerate(gradients):
        parameter.grad = g.astype("float64")
        optimizer.step()
        (g,) = put(device, g)
        if isinstance(optimizer, PaperSGD):
            kernels.paper_sgd(there, g, v, 0.1, **how)
        else:
            now = DEFAULTS | how | ({} if step else dict(dampening=0.0))
            kernels.sgd(there, g, v if now["momentum"] else None, 0.1, **now)
    velocity = optimizer.state[parameter].get("velocity", np.zeros(shape))
    assert_results((there, v), (parameter.data, velocity), dtype, **tolerance(dtype))


@pytest.mark.parametrize("starts", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (4, 4, 4)])
@pytest.mark.parametrize("with_velocity", [True, False])
def test_arrays_that_start_anywhere(rng, dtype, device, monkeypatch, starts, with_velocity):
    """Slices may start where 16 bytes cannot be loaded at once; the rest of the arrays must not change."""
    monkeypatch.setattr(importlib.import_module("tinynet.kernels.sgd"), "BLOCKS", 2)  # so that each thread loops
    n = 5003
    before = [rng.standard_normal(n + 8).astype(dtype) for _ in range(3)]
    arrays = put(device, *(a.copy() for a in before))
    w, g, v = (a[start : start + n] for a, start in zip(arrays, starts, strict=True))
    kernels.sgd(w, g, v if with_velocity else None, 0.1, 0.9, 0.01)
    w, g, v = (a[start : start + n].copy() for a, start in zip(before, starts, strict=True))
    d = g + dtype.type(0.01) * w
    if with_velocity:
        v *= dtype.type(0.9)
        v += d
    w -= dtype.type(0.1) * (v if with_velocity else d)
    for array, start, part in zip(before, starts, (w, g, v), strict=True):
        array[start : start + n] = part
    assert_results(tuple(arrays), before, **tolerance(dtype))
    outside = np.r_[0 : starts[0], starts[0] + n : n + 8]
    np.testing.assert_array_equal(fetch(arrays[0])[0][outside], before[0][outside])


def test_shapes_that_differ_are_named(device):
    w, g = put(device, np.zeros((2, 3), "float32"), np.zeros((3, 2), "float32"))
    with pytest.raises(ValueError, match=r"sgd: .* must have the same shape, got \[\(2, 3\), \(3, 2\)\]"):
        kernels.sgd(w, g, None, 0.1, 0.0, 0.0)
