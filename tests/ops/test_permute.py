import itertools

import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

CASES = [
    *[((2, 3, 4), dims) for dims in itertools.permutations(range(3))],
    ((), ()),
    ((3,), (-1,)),
    ((2, 3, 4, 1), (0, -1, 1, 2)),
    ((0, 3), (1, 0)),
]


@pytest.mark.parametrize(("shape", "dims"), CASES)
def test_same_as_torch(torch, rng, dtype, device, shape, dims):
    def theirs(x):
        return torch.permute(x, dims)

    x = np.asarray(rng.standard_normal(shape))
    assert_same_as_torch(torch, lambda x: F.permute(x, dims), theirs, [x], dtype, device)
    assert_same_as_torch(torch, lambda x: x.permute(dims), theirs, [x], dtype, device)
    assert_same_as_torch(torch, lambda x: x.permute(*dims), theirs, [x], dtype, device)


def test_gradcheck(rng):
    x = tinynet.tensor(rng.standard_normal((2, 3, 2)), requires_grad=True)
    assert tinynet.gradcheck(lambda x: F.permute(x, (1, 2, 0)), x)


def test_reference(rng):
    x = rng.standard_normal((2, 3, 4))
    y = F.permute(tinynet.tensor(x), (1, 2, 0)).numpy()
    for i, j, k in np.ndindex(x.shape):
        assert y[j, k, i] == x[i, j, k]


def test_bad_arguments():
    x = tinynet.tensor(np.ones((2, 3)))
    for dims in ((0,), (0, 0), (0, 1, 1), ()):
        with pytest.raises(ValueError, match=r"dims must name each axis of shape \(2, 3\) once"):
            F.permute(x, dims)
    with pytest.raises(ValueError, match="permute: dims must be between -2 and 1, got 2"):
        x.permute(0, 2)
    with pytest.raises(TypeError, match="permute: dims must be an integer, got str"):
        x.permute("01")
    with pytest.raises(TypeError, match=r"permute: input must be a tinynet.Tensor, got ndarray"):
        F.permute(np.ones((2, 3)), (1, 0))
