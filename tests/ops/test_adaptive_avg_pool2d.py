import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F
from tinynet.ops.adaptive_avg_pool2d import AdaptiveAvgPool2d

GRID = [
    ((2, 3, 13, 13), 6),
    ((2, 3, 7, 5), (1, 1)),
    ((1, 2, 6, 8), (6, 8)),
    ((1, 2, 3, 4), (7, 9)),  # more windows than pixels
    ((1, 2, 5, 7), (None, 3)),
    ((1, 2, 5, 7), [2, None]),
    ((1, 1, 1, 1), 1),
    ((0, 2, 5, 5), 2),
]


@pytest.mark.parametrize("shape, size", GRID)
def test_same_as_torch(torch, rng, dtype, device, shape, size):
    theirs = torch.nn.functional.adaptive_avg_pool2d
    assert_same_as_torch(
        torch,
        lambda x: F.adaptive_avg_pool2d(x, size),
        lambda x: theirs(x, size),
        [rng.standard_normal(shape)],
        dtype,
        device,
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(sizes=st.tuples(*[st.integers(1, 14)] * 4))
def test_random_sizes_same_as_torch(torch, sizes):
    H, W, P, Q = sizes
    theirs = torch.nn.functional.adaptive_avg_pool2d
    assert_same_as_torch(
        torch,
        lambda x: F.adaptive_avg_pool2d(x, (P, Q)),
        lambda x: theirs(x, (P, Q)),
        [np.random.default_rng(0).standard_normal((2, 1, H, W))],
        np.dtype("float64"),
    )


@pytest.mark.parametrize("shape, size", GRID[:7])
def test_gradcheck(rng, shape, size):
    x = tinynet.tensor(rng.standard_normal((1, *shape[1:])), requires_grad=True)
    assert tinynet.gradcheck(lambda x: F.adaptive_avg_pool2d(x, size), x)


def test_loops(rng):
    x, dy = rng.standard_normal((2, 2, 7, 5)), rng.standard_normal((2, 2, 3, 4))
    tensor = tinynet.tensor(x, requires_grad=True)
    y = F.adaptive_avg_pool2d(tensor, (3, 4))
    y.backward(dy)
    expected_dx = np.zeros_like(x)
    for n, c, p, q in np.ndindex(y.shape):
        rows = range(math.floor(p * 7 / 3), math.ceil((p + 1) * 7 / 3))
        columns = range(math.floor(q * 5 / 4), math.ceil((q + 1) * 5 / 4))
        window = [(h, w) for h in rows for w in columns]
        assert np.isclose(y.numpy()[n, c, p, q], sum(x[n, c, h, w] for h, w in window) / len(window))
        for h, w in window:
            expected_dx[n, c, h, w] += dy[n, c, p, q] / len(window)
    np.testing.assert_allclose(tensor.grad, expected_dx, rtol=1e-12)


def test_bad_input_is_named():
    x = tinynet.tensor(np.zeros((1, 1, 4, 4)))
    for size in (0, (1, 2, 3), (2, -1), (2, 1.5)):
        message = r"adaptive_avg_pool2d: output_size must be an integer"
        with pytest.raises(ValueError, match=message):
            F.adaptive_avg_pool2d(x, size)
    with pytest.raises(ValueError, match=r"input \(1, 1, 0, 4\) has images without pixels"):
        F.adaptive_avg_pool2d(tinynet.tensor(np.zeros((1, 1, 0, 4))), 1)


def test_to_its_own_size_it_copies(rng):
    """As in PyTorch, nobody who writes to the result changes the input, nor dy by way of dx."""
    x = rng.standard_normal((2, 3, 4, 5))
    op = AdaptiveAvgPool2d((4, 5))
    for result in (F.adaptive_avg_pool2d(tinynet.Tensor(x), (None, 5)).numpy(), op.forward(x), op.backward(x)):
        np.testing.assert_array_equal(result, x)
        assert not np.shares_memory(result, x)
