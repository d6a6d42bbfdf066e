import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F


def away_from_zero(rng, shape):
    x = rng.standard_normal(shape)
    return np.asarray(x + np.sign(x) * 0.1)


def test_same_as_torch(torch, rng, dtype, device):
    for shape in [(), (1,), (3, 4), (0, 3)]:
        x = away_from_zero(rng, shape)
        assert_same_as_torch(torch, F.abs, torch.abs, [x], dtype, device)
        assert_same_as_torch(torch, lambda x: x.abs(), lambda x: x.abs(), [x], dtype, device)
        assert_same_as_torch(torch, abs, abs, [x], dtype, device)


def test_zero_has_slope_zero(torch, dtype, device):
    assert_same_as_torch(torch, F.abs, torch.abs, [np.array([-1.0, 0.0, 2.0])], dtype, device)


def test_gradcheck(rng):
    assert tinynet.gradcheck(F.abs, tinynet.tensor(away_from_zero(rng, (3, 4)), requires_grad=True))


def test_reference(rng):
    x = rng.standard_normal((3, 4))
    y = F.abs(tinynet.tensor(x)).numpy()
    for i, j in np.ndindex(x.shape):
        assert y[i, j] == (x[i, j] if x[i, j] >= 0 else -x[i, j])


def test_integers():
    y = F.abs(tinynet.tensor([-3, 2]))
    assert y.dtype == np.int64
    assert y.numpy().tolist() == [3, 2]


def test_not_a_tensor():
    with pytest.raises(TypeError, match=r"abs: input must be a tinynet.Tensor, got float"):
        F.abs(-1.0)
