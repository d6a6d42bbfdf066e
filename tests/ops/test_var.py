import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from reductions import CASES, assert_reference
from tinynet import functional as F


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(("shape", "dim"), [case for case in CASES if case[0]])
def test_same_as_torch(torch, rng, dtype, device, shape, dim, keepdim, correction):
    def ours(x):
        return F.var(x, dim, correction=correction, keepdim=keepdim)

    def theirs(x):
        return torch.var(x, dim, correction=correction, keepdim=keepdim)

    assert_same_as_torch(torch, ours, theirs, [rng.standard_normal(shape)], dtype, device)


def test_method(torch, rng, dtype, device):
    x = rng.standard_normal((3, 2))
    assert_same_as_torch(torch, lambda x: x.var(0), lambda x: x.var(0), [x], dtype, device)


def test_far_from_zero(rng):
    """Squares of float32 numbers near 1000 have lost the digits that the variance is made of."""
    x = (1000 + rng.standard_normal(500)).astype(np.float32)
    expected = x.astype(np.float64).var(ddof=1)
    assert F.var(tinynet.tensor(x)).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dim", [None, 1, (0, -1)])
@pytest.mark.parametrize("correction", [0, 1, 0.5])
def test_gradcheck(rng, dim, correction):
    x = tinynet.tensor(rng.standard_normal((2, 3, 2)), requires_grad=True)
    assert tinynet.gradcheck(lambda x: F.var(x, dim, correction), x)
    assert tinynet.gradcheck(lambda x: x.var(dim, correction, keepdim=True), x)


def test_reference(rng):
    x = rng.standard_normal((2, 3, 4))

    def loop(elements):
        mean = sum(elements) / len(elements)
        return sum((x - mean) ** 2 for x in elements) / (len(elements) - 1)

    for dim in (0, -1, (0, 2), (0, 1, 2)):
        assert_reference(F.var, loop, x, dim)


def test_no_rows(dtype):
    x = tinynet.tensor(np.ones((0, 3), dtype), requires_grad=True)
    y = F.var(x, 1)
    assert y.shape == (0,)
    y.backward(np.ones(0))
    assert x.grad.shape == (0, 3)
    assert x.grad.dtype == dtype


def test_bad_arguments():
    x = tinynet.tensor(np.ones((1, 3)))
    message = r"var: input of shape \(1, 3\) has "
    with pytest.raises(ValueError, match=message + "1 elements along dim=0; correction=1 needs"):
        F.var(x, 0)
    with pytest.raises(ValueError, match=message + "3 elements along dim=1; correction=3 needs"):
        F.var(x, 1, correction=3)
    with pytest.raises(ValueError, match="var: dim must be between -2 and 1, got 2"):
        F.var(x, 2)
    with pytest.raises(TypeError, match="var: correction must be a number, got str"):
        F.var(x, 1, correction="1")
    with pytest.raises(TypeError, match="var: input must be float32 or float64, got int64"):
        F.var(tinynet.tensor([1, 2]))
    with pytest.raises(TypeError, match=r"var: input must be a tinynet.Tensor, got ndarray"):
        F.var(np.ones(3))
