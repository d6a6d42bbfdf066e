import math

import numpy as np
import pytest

import tinynet
from compare import LARGE, assert_same_as_torch
from tinynet import functional as F


def test_same_as_torch(torch, rng, dtype, device):
    for shape in [(), (1,), (3, 4), (2, 3, 5, 5), (0, 3), LARGE]:
        x = np.asarray(3 * rng.standard_normal(shape))
        assert_same_as_torch(torch, F.tanh, torch.tanh, [x], dtype, device)


@pytest.mark.filterwarnings("error")
def test_extreme_values_give_limits_and_no_warnings(torch, dtype):
    x = np.array([-np.inf, -1e4, -89, -50, -20, 0, 20, 50, 89, 1e4, np.inf])
    assert_same_as_torch(torch, F.tanh, torch.tanh, [x], dtype, rtol=1e-5, atol=0)
    assert math.isnan(F.tanh(tinynet.tensor(math.nan)).item())


def test_gradcheck(rng):
    x = tinynet.tensor(rng.standard_normal((3, 5)), requires_grad=True)
    assert tinynet.gradcheck(F.tanh, x)


def test_loops(rng):
    x, dy = rng.standard_normal((2, 3, 5))
    tensor = tinynet.tensor(x, requires_grad=True)
    y = F.tanh(tensor)
    y.backward(dy)
    for i, j in np.ndindex(x.shape):
        expected = math.tanh(x[i, j])
        slope = 1 / math.cosh(x[i, j]) ** 2
        assert math.isclose(y.numpy()[i, j], expected, rel_tol=1e-14)
        assert math.isclose(tensor.grad[i, j], slope * dy[i, j], rel_tol=1e-12)


def test_bad_input_is_named():
    with pytest.raises(TypeError, match=r"tanh: input must be float32 or float64, got int64"):
        F.tanh(tinynet.tensor(np.array([1])))
    with pytest.raises(TypeError, match=r"tanh: input must be a tinynet.Tensor, got float"):
        F.tanh(1.0)
