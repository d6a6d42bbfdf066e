"""Sums over many rows in float32, wherever an op makes one: as accurate as NumPy's along the last axis."""

import math

import numpy as np
import pytest

import tinynet
from tinynet import functional as F
from tinynet.ops.pairwise_sum import ROWS, pairwise_sum

N = 1_000_000
ROUNDING = dict(rtol=3e-6)  # row by row, a million are off by 1 %


def full(shape, device="cpu"):
    return tinynet.tensor(np.full(shape, 0.1, "f4"), requires_grad=True, device=device)


def gradient(f, *shapes, of):
    """Of f(*tensors full of 0.1), with respect to the input number `of`, where dy is 0.1."""
    xs = [full(shape) for shape in shapes]
    y = f(*xs)
    y.backward(np.full(y.shape, 0.1, "f4"))
    return xs[of].grad


def scores(*shape):
    """Of which e^x is 1, and a million times 0.1."""
    x = np.full((N, 3), -math.log(10), "f4")
    x[0] = 0
    return tinynet.tensor(x.reshape(shape or x.shape))


LOSS = math.log(1 + 0.1 * (N - 1)) + math.log(10) * (N - 1) / N  # of a distribution that is uniform
CLASSES = scores(1, N, 3), np.zeros((1, 3), int)

SUMS = {
    "sum": (lambda: F.sum(full((N, 3)), 0).numpy(), 0.1 * N),
    "sum of a middle axis": (lambda: F.sum(full((2, N, 3)), 1).numpy(), 0.1 * N),
    "sum of two axes": (lambda: F.sum(full((1000, 1000, 3)), (0, 1)).numpy(), 0.1 * N),
    "sum of a view": (lambda: F.sum(full((N, 6))[::-1, ::2], 0).numpy(), 0.1 * N),
    "mean": (lambda: F.mean(full((N, 3)), 0).numpy(), 0.1),
    "var": (lambda: F.var(tinynet.tensor(np.tile(np.float32([[0], [0.2]]), (N // 2, 3))), 0, 0).numpy(), 0.01),
    "unbroadcast": (lambda: gradient(F.add, (N, 3), (3,), of=1), 0.1 * N),
    "linear": (lambda: gradient(F.linear, (N, 1), (3, 1), (3,), of=2), 0.1 * N),
    "conv2d": (lambda: gradient(F.conv2d, (N, 1, 1, 1), (3, 1, 1, 1), (3,), of=2), 0.1 * N),
    "softmax": (lambda: 1 / F.softmax(scores(), 0).numpy()[0, 0], 1 + 0.1 * (N - 1)),
    "log_softmax": (lambda: np.exp(-F.log_softmax(scores(), 0).numpy()[0, 0]), 1 + 0.1 * (N - 1)),
    "softmax, backward": (lambda: gradient(lambda x: F.softmax(x, 0) * N, (N, 3), of=0) + 1, 1),
    "cross_entropy, smooth": (
        lambda: F.cross_entropy(*CLASSES, reduction="none", label_smoothing=1.0).numpy(), LOSS
    ),
    "cross_entropy of probabilities": (
        lambda: F.cross_entropy(CLASSES[0], full((1, N, 3)), reduction="none").numpy(),
        0.1 * N * LOSS,
    ),
    "adaptive_avg_pool2d": (lambda: F.adaptive_avg_pool2d(full((1, 1, N, 3)), (1, 3)).numpy(), 0.1),
}


@pytest.mark.parametrize("name", SUMS)
def test_a_million_rows(name):
    f, expected = SUMS[name]
    np.testing.assert_allclose(f(), expected, **ROUNDING)


def test_emulated():
    np.testing.assert_allclose(F.sum(full((N, 3), "emu:0"), 0).numpy(), 0.1 * N, **ROUNDING)


@pytest.mark.parametrize("shape, axes", [((ROWS, 5), (0,)), ((2, ROWS, 5), (1,)), ((64, 3, 64), (0, 2)),
                                         ((3, 50_000), (1,)), ((70, 6, 90, 90), (0, 2, 3)), ((0, 4), (0,)), ((), ())])
@pytest.mark.parametrize("keepdims", [False, True])
def test_up_to_4096_rows_and_along_the_last_axes_numpys_bits(rng, dtype, shape, axes, keepdims):
    x = np.asarray(rng.standard_normal(shape), dtype)
    for view in (x, x[..., ::-1] if shape else x):
        np.testing.assert_array_equal(pairwise_sum(view, axes, keepdims), view.sum(axis=axes, keepdims=keepdims))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (2, 0), (0, 1, 2)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("n", [ROWS + 1, 128 * 40])
def test_any_axes_of_any_layout(rng, n, order, axes, keepdims):
    x = rng.standard_normal([(n, 3, 70)[axis] for axis in order]).transpose(np.argsort(order))
    np.testing.assert_allclose(pairwise_sum(x, axes, keepdims), x.sum(axis=axes, keepdims=keepdims), atol=1e-9)
