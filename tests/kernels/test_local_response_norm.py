"""local_response_norm.cu against the NumPy path in float64."""

import importlib

import pytest

from compare import tolerance
from kernel_checks import assert_results, fetch, put, where_kernels_run
from tinynet import kernels
from tinynet.ops.local_response_norm import LocalResponseNorm

pytestmark = where_kernels_run
STRONG = dict(alpha=0.5, beta=0.75, k=2.0)  # strong enough for the cross-channel term to count
ODD = dict(alpha=0.3, beta=0.6, k=1.0)  # not 3/4: takes a pow


def both_ways(device, x, dy, size, groups=1, alpha=0.5, beta=0.75, k=2.0):
    how = size, alpha, beta, k, groups
    x, dy = put(device, x, dy)
    return kernels.local_response_norm(x, *how), kernels.local_response_norm_backward(dy, x, *how)


def check(device, x, dy, size, groups=1, alpha=0.5, beta=0.75, k=2.0):
    op = LocalResponseNorm(size, alpha, beta, k, groups)
    expected = op.forward(x.astype("float64")), op.backward(dy.astype("float64"))
    assert_results(both_ways(device, x, dy, size, groups, alpha, beta, k), expected, x.dtype, **tolerance(x.dtype))


def draw(rng, shape, dtype="float32"):
    return [rng.standard_normal(shape).astype(dtype) for _ in range(2)]


# The last two are divided into runs (of 8 windows each), with a last run of 1 channel or of several.
SHAPES = [(2, 7, 3, 4), (1, 1, 2, 2), (3, 2, 1, 1), (0, 4, 2, 2), (1, 50, 3, 5), (2, 73, 2, 2)]
CASES = [(shape, size, how) for shape in SHAPES for size, how in ((1, STRONG), (3, STRONG), (3, ODD), (9, STRONG))]
ALEXNET = [(shape, 5, STRONG | dict(groups=g)) for shape in ((1, 96, 55, 55), (2, 256, 27, 27)) for g in (1, 2)]
GROUPS = [((2, 12, 3, 3), 5, STRONG | dict(groups=g)) for g in (2, 3, 12)]  # 12: a group for each channel
OTHERS = [((2, 6, 3, 3), 5, dict(alpha=1e-4, beta=0.75, k=1.0))]  # the defaults
OTHERS += [((2, 48, 2, 3), 101, STRONG)]  # too large for registers; one of 95 reaches every channel


@pytest.mark.parametrize("shape, size, how", ALEXNET + CASES + GROUPS + OTHERS)
def test_same_as_numpy(rng, dtype, device, shape, size, how):
    check(device, *draw(rng, shape, dtype), size, **how)


def test_beta_0(rng, device):
    x, dy = draw(rng, (2, 6, 3, 3))
    assert_results(both_ways(device, x, dy, 3, beta=0.0), (x, dy))


def test_one_large_value_leaves_nothing_behind(rng, device):
    """In float32 1e12 + 1 - 1e12 is 0: a running sum that subtracts the square of 1e6 again has lost the rest."""
    x, dy = draw(rng, (1, 30, 2, 2))
    x[:, 3] = 1e6
    check(device, x, dy, 5, **STRONG)


def test_zeros_next_to_the_end_of_a_group(rng, device):
    """With k = 0 the sum beyond the last channel can be 0, and its -beta-th power infinite. It must not count."""
    x, dy = draw(rng, (1, 6, 2, 2))
    x[:, [0, 1, 4, 5]] = 0
    check(device, x, dy, 5, alpha=0.5, beta=0.75, k=0.0)


def test_same_bits_for_any_length_of_runs(rng, device, monkeypatch):
    x, dy = draw(rng, (2, 100, 3, 3))
    several = fetch(both_ways(device, x, dy, 3))
    monkeypatch.setattr(importlib.import_module("tinynet.kernels.local_response_norm"), "ENOUGH", 1)  # one run
    assert_results(both_ways(device, x, dy, 3), several)
