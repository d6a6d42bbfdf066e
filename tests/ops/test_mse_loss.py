import math

import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

REDUCTIONS = ["none", "sum", "mean"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (2, 3, 4, 5), (0, 3)])
def test_same_as_torch(torch, rng, dtype, device, shape, reduction):
    assert_same_as_torch(
        torch,
        lambda x, t: F.mse_loss(x, t, reduction=reduction),
        lambda x, t: torch.nn.functional.mse_loss(x, t, reduction=reduction),
        [np.asarray(rng.standard_normal(shape)) for _ in range(2)],
        dtype,
        device,
    )


def test_mean_is_the_default(torch, rng):
    x, t = rng.standard_normal((2, 3, 4))
    assert_same_as_torch(torch, F.mse_loss, torch.nn.functional.mse_loss, [x, t], np.dtype("f8"))


@pytest.mark.filterwarnings("error")
def test_mean_of_nothing_is_nan():
    x = tinynet.tensor(np.zeros((0, 3)), requires_grad=True)
    loss = F.mse_loss(x, tinynet.tensor(np.zeros((0, 3))))
    loss.backward()
    assert math.isnan(loss.item())
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradcheck(rng, reduction):
    x, t = (tinynet.tensor(a, requires_grad=True) for a in rng.standard_normal((2, 3, 4)))
    assert tinynet.gradcheck(lambda x, t: F.mse_loss(x, t, reduction=reduction), (x, t))


def test_loops(rng):
    x, t = rng.standard_normal((2, 3, 4))
    loss = F.mse_loss(tinynet.tensor(x), tinynet.tensor(t)).item()
    expected = sum((x[i] - t[i]) ** 2 for i in np.ndindex(3, 4)) / 12
    assert math.isclose(loss, expected, rel_tol=1e-14)


def test_bad_input_is_named():
    x = tinynet.tensor(np.zeros((2, 3)))
    message = r"mse_loss: target must have input's shape \(2, 3\), got \(3,\)"
    with pytest.raises(ValueError, match=message):
        F.mse_loss(x, tinynet.tensor(np.zeros(3)))
    with pytest.raises(ValueError, match=r"mse_loss: reduction must be one of .* got 'average'"):
        F.mse_loss(x, x, reduction="average")
    with pytest.raises(TypeError, match=r"mse_loss: target must be a tinynet.Tensor, got ndarray"):
        F.mse_loss(x, np.zeros((2, 3)))
    with pytest.raises(TypeError, match=r"mse_loss: target is float32 but input is float64"):
        F.mse_loss(x, tinynet.tensor(np.zeros((2, 3), np.float32)))
    with pytest.raises(TypeError, match=r"mse_loss: input must be float32 or float64, got int64"):
        F.mse_loss(tinynet.tensor(np.zeros(3, np.int64)), tinynet.tensor(np.zeros(3)))
