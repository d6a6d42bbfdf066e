import math

import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

GRID = [((5,), 0), ((3, 4), 1), ((3, 4), 0), ((3, 4), -1), ((2, 3, 4, 5), 1), ((2, 3, 4), -2)]
EMPTY = [((0, 3), 1), ((0, 3), 0), ((2, 0), 1)]


def both(torch, dim):
    return lambda x: F.softmax(x, dim), lambda x: torch.nn.functional.softmax(x, dim)


@pytest.mark.parametrize("shape, dim", GRID + EMPTY)
def test_same_as_torch(torch, rng, dtype, device, shape, dim):
    x = 3 * rng.standard_normal(shape)
    assert_same_as_torch(torch, *both(torch, dim), [x], dtype, device)


@pytest.mark.filterwarnings("error")
def test_extreme_values_and_ties(torch, dtype, device):
    x = np.array(
        [
            [1e4, 0, -1e4],
            [1e4, 1e4, 1e4],
            [-1e4, -1e4 - 1, -1e4 - 2],
            [0, 0, 0],
            [-np.inf, 0, 1],
        ]
    )
    assert_same_as_torch(torch, *both(torch, 1), [x], dtype, device)


@pytest.mark.parametrize("shape, dim", GRID)
def test_gradcheck(rng, shape, dim):
    x = tinynet.tensor(rng.standard_normal(shape), requires_grad=True)
    assert tinynet.gradcheck(lambda x: F.softmax(x, dim), x)


def test_loops(rng):
    x, dy = rng.standard_normal((2, 3, 4))
    tensor = tinynet.tensor(x, requires_grad=True)
    y = F.softmax(tensor, 1)
    y.backward(dy)
    for n in range(3):
        total = sum(math.exp(v) for v in x[n])
        p = [math.exp(v) / total for v in x[n]]
        for j in range(4):
            assert math.isclose(y.numpy()[n, j], p[j], rel_tol=1e-12)
            slopes = [p[i] * ((i == j) - p[j]) for i in range(4)]
            expected = sum(dy[n, i] * slopes[i] for i in range(4))
            assert math.isclose(tensor.grad[n, j], expected, rel_tol=1e-10)


def test_bad_input_is_named():
    x = tinynet.tensor(np.zeros((2, 3)))
    for dim in (2, -3):
        with pytest.raises(ValueError, match=f"softmax: dim must be between -2 and 1, got {dim}"):
            F.softmax(x, dim)
    with pytest.raises(TypeError, match=r"softmax: dim must be an integer, got NoneType"):
        F.softmax(x, None)
    with pytest.raises(TypeError, match=r"softmax: input must be float32 or float64, got int64"):
        F.softmax(tinynet.tensor(np.array([1])), 0)
