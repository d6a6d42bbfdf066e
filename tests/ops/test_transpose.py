import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

CASES = [
    ((3,), (0, 0)),
    ((2, 3), (0, 1)),
    ((2, 3, 4), (0, -1)),
    ((2, 3, 4), (-2, 0)),
    ((0, 3), (1, 0)),
]


@pytest.mark.parametrize(("shape", "dims"), CASES)
def test_same_as_torch(torch, rng, dtype, device, shape, dims):
    def theirs(x):
        return torch.transpose(x, *dims)

    x = rng.standard_normal(shape)
    assert_same_as_torch(torch, lambda x: F.transpose(x, *dims), theirs, [x], dtype, device)
    assert_same_as_torch(torch, lambda x: x.transpose(*dims), theirs, [x], dtype, device)


def test_matrix_transpose(torch, rng, dtype, device):
    x = rng.standard_normal((2, 3))
    assert_same_as_torch(torch, lambda x: x.T, lambda x: x.T, [x], dtype, device)


def test_gradcheck(rng):
    x = tinynet.tensor(rng.standard_normal((2, 3, 2)), requires_grad=True)
    assert tinynet.gradcheck(lambda x: F.transpose(x, 0, 1), x)


def test_reference(rng):
    x = rng.standard_normal((2, 3, 4))
    y = F.transpose(tinynet.tensor(x), 0, 2).numpy()
    for i, j, k in np.ndindex(x.shape):
        assert y[k, j, i] == x[i, j, k]


def test_bad_arguments():
    x = tinynet.tensor(np.ones((2, 3)))
    with pytest.raises(ValueError, match="transpose: dim0 must be between -2 and 1, got 2"):
        F.transpose(x, 2, 0)
    with pytest.raises(ValueError, match="transpose: dim1 must be between -2 and 1, got -3"):
        F.transpose(x, 0, -3)
    with pytest.raises(TypeError, match="transpose: dim1 must be an integer, got float"):
        F.transpose(x, 0, 1.0)
    with pytest.raises(ValueError, match=r"T needs a tensor with two axes, got shape \(6,\)"):
        x.reshape(6).T  # noqa: B018 (the property raises)
    with pytest.raises(TypeError, match=r"transpose: input must be a tinynet.Tensor, got ndarray"):
        F.transpose(np.ones((2, 3)), 0, 1)
