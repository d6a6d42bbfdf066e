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
        return torch.mean(x, dim, keepdim)

    x = np.asarray(rng.standard_normal(shape))
    assert_same_as_torch(torch, lambda x: F.mean(x, dim, keepdim), theirs, [x], dtype, device)
    assert_same_as_torch(torch, lambda x: x.mean(dim, keepdim), theirs, [x], dtype, device)


@pytest.mark.parametrize("dim", [None, 1, (0, -1)])
def test_gradcheck(rng, dim):
    x = tinynet.tensor(rng.standard_normal((2, 3, 2)), requires_grad=True)
    assert tinynet.gradcheck(lambda x: F.mean(x, dim), x)
    assert tinynet.gradcheck(lambda x: x.mean(dim=dim, keepdim=True), x)


def test_reference(rng):
    x = rng.standard_normal((2, 3, 4))

    def loop(elements):
        total = 0.0
        for x in elements:
            total += x
        return total / len(elements)

    for dim in (0, -1, (0, 2), (0, 1, 2)):
        assert_reference(F.mean, loop, x, dim)


@pytest.mark.parametrize(
    ("dim", "error", "message"),
    [
        (2, ValueError, "mean: dim must be between -2 and 1, got 2"),
        (-3, ValueError, "mean: dim must be between -2 and 1, got -3"),
        ((0, 2), ValueError, "mean: dim must be between -2 and 1, got 2"),
        ((0, -2), ValueError, r"mean: dim names an axis twice: \(0, -2\)"),
        (1.0, TypeError, "mean: dim must be an integer, got float"),
        ((0, None), TypeError, "mean: dim must be an integer, got NoneType"),
        (True, TypeError, "mean: dim must be an integer, got bool"),
    ],
)
def test_bad_dim(dim, error, message):
    with pytest.raises(error, match=message):
        F.mean(tinynet.tensor(np.ones((2, 3))), dim)


def test_no_axes():
    with pytest.raises(ValueError, match=r"mean: dim is 0, but a tensor of shape \(\) has no axes"):
        F.mean(tinynet.tensor(1.0), 0)


def test_not_a_tensor():
    with pytest.raises(TypeError, match=r"mean: input must be a tinynet.Tensor, got list"):
        F.mean([1.0])


def test_nothing_has_no_mean(torch):
    y = F.mean(tinynet.tensor(np.ones((0, 3), np.float32)), 0)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.numpy(), torch.ones(0, 3).mean(0).numpy())


def test_integers_are_refused():
    with pytest.raises(TypeError, match="mean: input must be float32 or float64, got int64"):
        F.mean(tinynet.tensor([1, 2]))
