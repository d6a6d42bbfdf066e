import math

import numpy as np
import pytest

import tinynet
from compare import LARGE, assert_same_as_torch
from tinynet import functional as F


def values(rng, shape):
    return np.asarray(rng.standard_normal(shape))


def test_same_as_torch(torch, rng, dtype, device):
    for shape in [(), (1,), (3, 4), (0, 3), LARGE]:
        x = values(rng, shape)
        assert_same_as_torch(torch, F.exp, torch.exp, [x], dtype, device)
    x = values(rng, (3, 4))  # the method, on memory that is not in row-major order
    assert_same_as_torch(torch, lambda x: x.T.exp(), lambda x: x.T.exp(), [x], dtype, device)


def test_gradcheck(rng):
    x = tinynet.tensor(values(rng, (3, 4)), requires_grad=True)
    assert tinynet.gradcheck(F.exp, x)


def test_reference(rng):
    x = values(rng, (3, 4))
    y = F.exp(tinynet.tensor(x)).numpy()
    for i, j in np.ndindex(x.shape):
        assert y[i, j] == pytest.approx(math.exp(x[i, j]), rel=1e-14)


def test_bad_input():
    with pytest.raises(TypeError, match="exp: input must be float32 or float64, got int64"):
        F.exp(tinynet.tensor([1, 2]))
    with pytest.raises(TypeError, match=r"exp: input must be a tinynet.Tensor, got ndarray"):
        F.exp(np.ones(3))


def test_the_output_is_saved_and_not_the_input():
    x = tinynet.tensor([1.0, 2.0], requires_grad=True)
    y = F.exp(x)
    assert len(y.function.saved) == 1
    assert y.function.saved[0] is y.data
