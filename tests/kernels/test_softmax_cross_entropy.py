"""softmax_cross_entropy.cu against the NumPy path in float64."""

import numpy as np
import pytest

from compare import tolerance
from kernel_checks import assert_results, fetch, put, where_kernels_run
from tinynet import kernels
from tinynet.ops.cross_entropy import CrossEntropy

pytestmark = where_kernels_run
IGNORED = -100
# N, C, D: an image classifier's; classes that no block size divides; a single class; more classes than threads; none
SHAPES = [(8, 1000, 1), (5, 33, 1), (2, 7, 6), (3, 1, 2), (1, 257, 3), (2, 2500, 1), (0, 5, 1), (2, 4, 0)]


def draw(rng, shape, dtype):
    """x, dl, targets of which some are ignored, class weights."""
    N, C, D = shape
    target = rng.integers(0, C, (N, D))
    target[rng.random((N, D)) < 0.3] = IGNORED
    x, dl, weight = 3 * rng.standard_normal(shape), rng.standard_normal((N, D)), rng.uniform(0.5, 2, C)
    return x.astype(dtype), dl.astype(dtype), target, weight.astype(dtype)


def both_ways(device, x, dl, target, weight, smoothing, ignored=IGNORED):
    x, dl, *how = put(device, x, dl, target, weight)
    how += ignored, smoothing
    return kernels.softmax_cross_entropy(x, *how), kernels.softmax_cross_entropy_backward(dl, x, *how)


def check(device, x, dl, target, weight, smoothing, ignored=IGNORED):
    got = both_ways(device, x, dl, target, weight, smoothing, ignored)
    x64, dl64, weight64 = (None if a is None else a.astype("float64") for a in (x, dl, weight))
    op = CrossEntropy(target, weight64, ignored, "none", smoothing)
    assert_results(got, (op.forward(x64), op.backward(dl64)), x.dtype, **tolerance(x.dtype))
    return fetch(got)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
def test_same_as_numpy(rng, dtype, device, shape, weighted, smoothing):
    x, dl, target, weight = draw(rng, shape, dtype)
    for cotangent in (dl, np.asarray(dl.sum())):  # one per sample; one for all
        check(device, x, cotangent, target, weight if weighted else None, smoothing)


def test_huge_logits(rng, dtype, device):
    x, dl, target, weight = draw(rng, (6, 100, 1), dtype)
    x *= 1e4
    losses, dx = check(device, x, dl, target, weight, 0.1)
    assert np.isfinite(losses).all() and np.isfinite(dx).all() and losses.max() > 1e3


def test_impossible_classes(rng, device):
    """A logit of -inf is a probability of 0, and does the others no harm."""
    x, dl, target, _ = draw(rng, (6, 40, 1), np.dtype("float32"))
    x[:, 1::2] = -np.inf
    target //= 2
    target *= 2  # IGNORED is even too
    losses, dx = check(device, x, dl, target, None, 0.0)
    assert np.isfinite(losses).all() and not dx[:, 1::2].any()


def test_any_class_can_be_the_ignored_one(rng, device):
    x, dl, target, weight = draw(rng, (9, 3, 2), np.dtype("float32"))
    target[target == IGNORED] = 1
    losses, dx = check(device, x, dl, target, weight, 0.2, ignored=1)
    assert (losses[target == 1] == 0).all() and (losses[target != 1] > 0).all()
    assert not dx.transpose(0, 2, 1)[target == 1].any()


def test_bad_arguments_are_named(rng, device):
    x, dl, target, weight = put(device, *draw(rng, (4, 6, 1), np.dtype("float32")))
    with pytest.raises(ValueError, match=r"target must be int64 \(4, 1\) .* got int32"):
        kernels.softmax_cross_entropy(x, target.astype("int32"), weight, IGNORED, 0.0)
    with pytest.raises(ValueError, match=r"target must be int64 \(4, 1\) .* got int64 \(2, 1\)"):
        kernels.softmax_cross_entropy(x, target[:2], weight, IGNORED, 0.0)
    with pytest.raises(ValueError, match="dl must hold 1 number or 4, one per sample"):
        kernels.softmax_cross_entropy_backward(dl[:3], x, target, weight, IGNORED, 0.0)
    with pytest.raises(TypeError, match="weight is float64 but x is float32"):
        kernels.softmax_cross_entropy(x, target, weight.astype("float64"), IGNORED, 0.0)
