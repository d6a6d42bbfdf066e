import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

BOUNDS = [(-0.5, 0.5), (None, 0.25), (0, None), (-1, 1), (0.5, -0.5), (np.float64(-0.1), 2)]


def away_from(rng, shape, bounds):
    """Clipping has kinks at its bounds, where finite differences measure nothing."""
    x = rng.standard_normal(shape)
    for bound in bounds:
        if bound is not None:
            x = np.where(np.abs(x - bound) < 0.01, bound + 0.05, x)
    return np.asarray(x)


@pytest.mark.parametrize("bounds", BOUNDS)
def test_same_as_torch(torch, rng, dtype, device, bounds):
    low, high = (None if b is None else float(b) for b in bounds)

    def theirs(x):
        return torch.clip(x, low, high)

    for shape in [(), (3, 4), (0, 3)]:
        x = np.asarray(rng.standard_normal(shape))
        assert_same_as_torch(torch, lambda x: F.clip(x, *bounds), theirs, [x], dtype, device)
        assert_same_as_torch(torch, lambda x: x.clip(*bounds), theirs, [x], dtype, device)


def test_at_the_bounds_the_gradient_passes(torch, dtype, device):
    x = [np.array([-1.5, -1, 0, 1, 1.5])]
    for f in (lambda x: x.clip(-1, 1), lambda x: x.clip(min=-1), lambda x: x.clip(max=1)):
        assert_same_as_torch(torch, f, f, x, dtype, device)


def test_an_infinite_cotangent_outside_is_lost():
    x = tinynet.tensor([-1.0, 0.5], requires_grad=True)
    F.clip(x, 0, 1).backward([np.inf, 1])
    assert x.grad.tolist() == [0, 1]


@pytest.mark.parametrize("bounds", BOUNDS)
def test_gradcheck(rng, bounds):
    x = tinynet.tensor(away_from(rng, (3, 4), bounds), requires_grad=True)
    assert tinynet.gradcheck(lambda x: F.clip(x, *bounds), x)


def test_reference(rng):
    x = rng.standard_normal((3, 4))
    y = F.clip(tinynet.tensor(x), -0.3, 0.4).numpy()
    for i, j in np.ndindex(x.shape):
        expected = x[i, j]
        if expected < -0.3:
            expected = -0.3
        if expected > 0.4:
            expected = 0.4
        assert y[i, j] == expected


def test_integers():
    y = F.clip(tinynet.tensor([-3, 2, 7]), 0, 5)
    assert y.dtype == np.int64
    assert y.numpy().tolist() == [0, 2, 5]
    with pytest.raises(TypeError, match=r"clip: max is 0.5, but input holds int64"):
        F.clip(tinynet.tensor([1]), max=0.5)


def test_bad_arguments():
    x = tinynet.tensor([1.0])
    with pytest.raises(ValueError, match="clip: give min, max or both"):
        F.clip(x)
    with pytest.raises(TypeError, match="clip: min must be a number, got str"):
        F.clip(x, "0")
    with pytest.raises(TypeError, match="clip: max must be a number, got ndarray"):
        F.clip(x, 0, np.ones(1))
    with pytest.raises(TypeError, match=r"clip: input must be a tinynet.Tensor, got list"):
        F.clip([1.0], 0)
