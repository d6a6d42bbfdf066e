import numpy as np
import pytest
from test_relu import away_from_zero

import tinynet
from compare import LARGE, assert_same_as_torch
from tinynet import functional as F

SLOPES = [0.01, 0.3, 0.0, 1.5, -0.5]


@pytest.mark.parametrize("slope", SLOPES)
def test_same_as_torch(torch, rng, dtype, device, slope):
    theirs = torch.nn.functional.leaky_relu
    shapes = [(), (1,), (3, 4), (2, 3, 5, 5), (0, 3), LARGE]
    extreme = np.array([-1e4, -1e-30, -0.0, 0.0, 1e-30, 1e4])
    for x in [extreme, *(np.asarray(rng.standard_normal(shape)) for shape in shapes)]:
        assert_same_as_torch(
            torch, lambda x: F.leaky_relu(x, slope), lambda x: theirs(x, slope), [x], dtype, device
        )


def test_default_slope(torch):
    x = np.array([-2.0, 0.0, 3.0])
    assert_same_as_torch(torch, F.leaky_relu, torch.nn.functional.leaky_relu, [x], np.dtype("f8"))


@pytest.mark.parametrize("slope", SLOPES)
def test_gradcheck(rng, slope):
    x = tinynet.tensor(away_from_zero(rng, (3, 5)), requires_grad=True)
    assert tinynet.gradcheck(lambda x: F.leaky_relu(x, slope), x)


def test_loops(rng):
    x, dy = rng.standard_normal((2, 3, 5))
    tensor = tinynet.tensor(x, requires_grad=True)
    y = F.leaky_relu(tensor, 0.2)
    y.backward(dy)
    for i, j in np.ndindex(x.shape):
        assert y.numpy()[i, j] == (x[i, j] if x[i, j] > 0 else 0.2 * x[i, j])
        assert tensor.grad[i, j] == (dy[i, j] if x[i, j] > 0 else 0.2 * dy[i, j])


def test_bad_input_is_named():
    x = tinynet.tensor([1.0])
    with pytest.raises(TypeError, match=r"leaky_relu: negative_slope must be a number, got str"):
        F.leaky_relu(x, "0.1")
    with pytest.raises(TypeError, match=r"leaky_relu: input must be float32 or float64, got int64"):
        F.leaky_relu(tinynet.tensor(np.array([1])))
    with pytest.raises(TypeError, match=r"input must be a tinynet.Tensor, got list"):
        F.leaky_relu([1.0])
