"""local_response_norm.cu against the NumPy path in float64."""

import importlib

import numpy as np
import pytest

from compare import tolerance
from kernel_checks import assert_same_bits_always, fetch, put, where_kernels_run
from tinynet import kernels
from tinynet.ops.local_response_norm import LocalResponseNorm

pytestmark = where_kernels_run
STRONG = dict(alpha=0.5, beta=0.75, k=2.0)  # the term that crosses channels counts
ODD = dict(alpha=0.3, beta=0.6, k=1.0)  # not 3/4: by a power


def both_ways(device, x, dy, size, groups=1, alpha=0.5, beta=0.75, k=2.0):
    how = size, alpha, beta, k, groups
    x, dy = put(device, x, dy)
    return fetch((kernels.local_response_norm(x, *how), kernels.local_response_norm_backward(dy, x, *how)))


def check(device, x, dy, size, groups=1, alpha=0.5, beta=0.75, k=2.0):
    got = both_ways(device, x, dy, size, groups, alpha, beta, k)
    op = LocalResponseNorm(size, alpha, beta, k, groups)
    expected = op.forward(x.astype("float64")), op.backward(dy.astype("float64"))
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.dtype == x.dtype
        np.testing.assert_allclose(ours, theirs, **tolerance(x.dtype))


def draw(rng, shape, dtype):
    return [rng.standard_normal(shape).astype(dtype) for _ in range(2)]


@pytest.mark.parametrize("shape", [(1, 96, 55, 55), (2, 256, 27, 27)])
@pytest.mark.parametrize("groups", [1, 2])
def test_alexnet(rng, dtype, device, shape, groups):
    check(device, *draw(rng, shape, dtype), 5, groups, **STRONG)


# The last two are cut into runs (of 8 windows' lengths), with a run left over of 1 channel or of several
SHAPES = [(2, 7, 3, 4), (1, 1, 2, 2), (3, 2, 1, 1), (0, 4, 2, 2), (1, 50, 3, 5), (2, 73, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size, how", [(1, STRONG), (3, STRONG), (3, ODD), (9, STRONG)])
def test_shapes(rng, dtype, device, shape, size, how):
    check(device, *draw(rng, shape, dtype), size, **how)


@pytest.mark.parametrize("groups", [2, 3, 12])  # the last: every channel for itself
def test_groups(rng, device, groups):
    check(device, *draw(rng, (2, 12, 3, 3), np.dtype("float32")), 5, groups, **STRONG)


def test_window_too_large_for_registers(rng, device):
    check(device, *draw(rng, (2, 48, 2, 3), np.dtype("float64")), 101, **STRONG)  # reaches every channel: 95


def test_default_alpha_and_beta_0(rng, device):
    x, dy = draw(rng, (2, 6, 3, 3), np.dtype("float32"))
    check(device, x, dy, 5, alpha=1e-4, beta=0.75, k=1.0)
    np.testing.assert_array_equal(both_ways(device, x, dy, 3, beta=0.0), (x, dy))


def test_one_large_value_leaves_nothing_behind(rng, device):
    """In float32 1e12 + 1 - 1e12 is 0: a sum from which the square of 1e6 is taken off again has lost the rest."""
    x, dy = draw(rng, (1, 30, 2, 2), np.dtype("float32"))
    x[:, 3] = 1e6
    check(device, x, dy, 5, **STRONG)


def test_zeros_next_to_the_end_of_a_group(rng, device):
    """With k = 0 the energy beyond the last channel can be 0, and its -beta th power infinite. It must not count."""
    x, dy = draw(rng, (1, 6, 2, 2), np.dtype("float32"))
    x[:, [0, 1, 4, 5]] = 0
    check(device, x, dy, 5, alpha=0.5, beta=0.75, k=0.0)


def test_same_bits_however_the_channels_are_cut(rng, device, monkeypatch):
    x, dy = draw(rng, (2, 100, 3, 3), np.dtype("float32"))
    cut = both_ways(device, x, dy, 3)
    monkeypatch.setattr(importlib.import_module("tinynet.kernels.local_response_norm"), "ENOUGH", 1)  # one run
    for one_run, several in zip(both_ways(device, x, dy, 3), cut, strict=True):
        np.testing.assert_array_equal(one_run, several)


def test_same_bits_always(rng, device):
    x, dy = put(device, *draw(rng, (2, 27, 5, 7), np.dtype("float32")))  # runs of 24 channels and 3
    how = 3, 0.5, 0.75, 2.0, 1
    assert_same_bits_always(device, lambda: kernels.local_response_norm(x, *how))
    assert_same_bits_always(device, lambda: kernels.local_response_norm_backward(dy, x, *how))


def test_not_contiguous(rng, device):
    x, dy = draw(rng, (3, 4, 2, 6), np.dtype("float32"))
    turned = both_ways(device, x.transpose(1, 3, 2, 0), dy.transpose(1, 3, 2, 0), 3)
    straight = both_ways(device, *(np.ascontiguousarray(a.transpose(1, 3, 2, 0)) for a in (x, dy)), 3)
    np.testing.assert_array_equal(turned, straight)
