import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from reductions import CASES, assert_reference
from tinynet import functional as F


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(("shape", "dim"), [*CASES, ((0, 3), 1), ((2, 0, 3), (0, 2))])
def test_same_as_torch(torch, rng, dtype, device, shape, dim, keepdim):
    def theirs(x):
        return torch.sum(x, dim, keepdim)

    x = np.asarray(rng.standard_normal(shape))
    assert_same_as_torch(torch, lambda x: F.sum(x, dim, keepdim), theirs, [x], dtype, device)
    assert_same_as_torch(torch, lambda x: x.sum(dim, keepdim), theirs, [x], dtype, device)


@pytest.mark.parametrize("dim", [None, 1, (0, -1)])
def test_gradcheck(rng, dim):
    x = tinynet.tensor(rng.standard_normal((2, 3, 2)), requires_grad=True)
    assert tinynet.gradcheck(lambda x: F.sum(x, dim), x)
    assert tinynet.gradcheck(lambda x: x.sum(dim=dim, keepdim=True), x)


def test_reference(rng):
    x = rng.standard_normal((2, 3, 4))

    def loop(elements):
        total = 0.0
        for x in elements:
            total += x
        return total

    for dim in (0, -1, (0, 2), (0, 1, 2)):
        assert_reference(F.sum, loop, x, dim)


@pytest.mark.parametrize(
    ("dim", "error", "message"),
    [
        (2, ValueError, "sum: dim must be between -2 and 1, got 2"),
        (-3, ValueError, "sum: dim must be between -2 and 1, got -3"),
        ((0, 2), ValueError, "sum: dim must be between -2 and 1, got 2"),
        ((0, -2), ValueError, r"sum: dim names an axis twice: \(0, -2\)"),
        (1.0, TypeError, "sum: dim must be an integer, got float"),
        ((0, None), TypeError, "sum: dim must be an integer, got NoneType"),
        (True, TypeError, "sum: dim must be an integer, got bool"),
    ],
)
def test_bad_dim(dim, error, message):
    with pytest.raises(error, match=message):
        F.sum(tinynet.tensor(np.ones((2, 3))), dim)


def test_no_axes():
    with pytest.raises(ValueError, match=r"sum: dim is 0, but a tensor of shape \(\) has no axes"):
        F.sum(tinynet.tensor(1.0), 0)


def test_not_a_tensor():
    with pytest.raises(TypeError, match=r"sum: input must be a tinynet.Tensor, got list"):
        F.sum([1.0])


def test_integers():
    for data, total in (([True, True, False], 2), (np.array([200, 100], np.uint8), 300)):
        y = F.sum(tinynet.tensor(data))
        assert y.dtype == np.int64
        assert y.item() == total


def test_the_gradient_of_a_leaf_can_be_written():
    x = tinynet.tensor(np.ones((2, 3)), requires_grad=True)
    F.sum(x).backward()
    x.grad[0, 0] = 5
    assert x.grad.tolist() == [[5, 1, 1], [1, 1, 1]]
