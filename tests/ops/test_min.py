import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from reductions import CASES, assert_reference, distinct
from tinynet import functional as F


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(("shape", "dim"), [*CASES, ((0, 3), 1)])
def test_same_as_torch(torch, rng, dtype, device, shape, dim, keepdim):
    def theirs(x):
        return torch.amin(x, () if dim is None else dim, keepdim)

    ties = np.asarray(rng.integers(0, 2, shape) * 1.0)
    for x in (distinct(rng, shape), ties):
        assert_same_as_torch(torch, lambda x: F.min(x, dim, keepdim), theirs, [x], dtype, device)
        assert_same_as_torch(torch, lambda x: x.min(dim, keepdim), theirs, [x], dtype, device)


def test_of_everything(torch, rng, dtype, device):
    x = rng.integers(0, 2, (3, 4)) * 1.0
    assert_same_as_torch(torch, lambda x: x.min(), lambda x: x.min(), [x], dtype, device)


def test_ties_share_evenly():
    x = tinynet.tensor([[3.0, 3.0, 1.0], [1.0, 2.0, 3.0]], requires_grad=True)
    F.min(-x).backward(6.0)
    assert x.grad.tolist() == [[-2, -2, 0], [0, 0, -2]]


@pytest.mark.parametrize("dim", [None, 1, (0, -1)])
def test_gradcheck(rng, dim):
    x = tinynet.tensor(distinct(rng, (2, 3, 2)), requires_grad=True)
    assert tinynet.gradcheck(lambda x: F.min(x, dim), x)
    assert tinynet.gradcheck(lambda x: x.min(dim=dim, keepdim=True), x)


def test_reference(rng):
    x = rng.standard_normal((2, 3, 4))

    def loop(elements):
        best = elements[0]
        for x in elements[1:]:
            if x < best:
                best = x
        return best

    for dim in (0, -1, (0, 2), (0, 1, 2)):
        assert_reference(F.min, loop, x, dim)


def test_integers():
    y = F.min(tinynet.tensor([3, 1, 2]))
    assert y.dtype == np.int64
    assert y.item() == min((3, 1, 2))


def test_bad_arguments():
    x = tinynet.tensor(np.ones((2, 0)))
    message = r"min: input of shape \(2, 0\) has no elements along dim="
    with pytest.raises(ValueError, match=message + "1"):
        F.min(x, 1)
    with pytest.raises(ValueError, match=message + "None"):
        F.min(x)
    with pytest.raises(ValueError, match="min: dim must be between -2 and 1, got 2"):
        F.min(x, 2)
    with pytest.raises(TypeError, match="min: dim must be an integer, got Tensor"):
        F.min(x, x)
    with pytest.raises(TypeError, match=r"min: input must be a tinynet.Tensor, got float"):
        F.min(1.0)
