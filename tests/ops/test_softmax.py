"""softmax and log_softmax."""

import math

import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

GRID = [((5,), 0), ((3, 4), 1), ((3, 4), 0), ((3, 4), -1), ((2, 3, 4, 5), 1), ((2, 3, 4), -2)]
EMPTY = [((0, 3), 1), ((0, 3), 0), ((2, 0), 1)]
both_ops = pytest.mark.parametrize("name", ["softmax", "log_softmax"])


def ours_and_theirs(torch, name, dim):
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    return lambda x: ours(x, dim), lambda x: theirs(x, dim)


@both_ops
@pytest.mark.parametrize("shape, dim", GRID + EMPTY)
def test_same_as_torch(torch, rng, dtype, device, shape, dim, name):
    x = 3 * rng.standard_normal(shape)
    assert_same_as_torch(torch, *ours_and_theirs(torch, name, dim), [x], dtype, device)


@both_ops
@pytest.mark.filterwarnings("error")
def test_extreme_values_and_ties(torch, dtype, device, name):
    x = [[1e4, 0, -1e4], [1e4, 1e4, 1e4], [-1e4, -1e4 - 1, -1e4 - 2], [0, 0, 0], [-np.inf, 0, 1]]
    assert_same_as_torch(torch, *ours_and_theirs(torch, name, 1), [np.array(x)], dtype, device)


@both_ops
@pytest.mark.parametrize("shape, dim", GRID)
def test_gradcheck(rng, shape, dim, name):
    x = tinynet.tensor(rng.standard_normal(shape), requires_grad=True)
    assert tinynet.gradcheck(lambda x: getattr(F, name)(x, dim), x)


@pytest.mark.parametrize(
    "name, value, slope",  # value: of a probability; slope(p, i, j): of output i in input j
    [
        ("softmax", lambda p: p, lambda p, i, j: p[i] * ((i == j) - p[j])),
        ("log_softmax", math.log, lambda p, i, j: (i == j) - p[j]),
    ],
)
def test_loops(rng, name, value, slope):
    x, dy = rng.standard_normal((2, 3, 4))
    tensor = tinynet.tensor(x, requires_grad=True)
    y = getattr(F, name)(tensor, 1)
    y.backward(dy)
    for n in range(3):
        total = sum(math.exp(v) for v in x[n])
        p = [math.exp(v) / total for v in x[n]]
        for j in range(4):
            assert math.isclose(y.numpy()[n, j], value(p[j]), rel_tol=1e-12)
            expected = sum(dy[n, i] * slope(p, i, j) for i in range(4))
            assert math.isclose(tensor.grad[n, j], expected, rel_tol=1e-10)


@both_ops
@pytest.mark.parametrize(
    "x, dim, error, message",
    [
        (np.zeros((2, 3)), 2, ValueError, "dim must be between -2 and 1, got 2"),
        (np.zeros((2, 3)), -3, ValueError, "dim must be between -2 and 1, got -3"),
        (np.zeros((2, 3)), None, TypeError, "dim must be an integer, got NoneType"),
        (np.array([1]), 0, TypeError, "input must be float32 or float64, got int64"),
    ],
)
def test_bad_input_is_named(name, x, dim, error, message):
    with pytest.raises(error, match=f"^{name}: {message}"):
        getattr(F, name)(tinynet.tensor(x), dim)
