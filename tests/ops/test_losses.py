"""mse_loss, nll_loss, and what nll_loss and cross_entropy have in common."""

import math

import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from ops_cases import REDUCTIONS, assert_loss_same_as_torch, targets
from tinynet import functional as F

# ---------------------------------------------------------------------------- mse_loss


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (2, 3, 4, 5), (0, 3)])
def test_mse_same_as_torch(torch, rng, dtype, device, shape, reduction):
    assert_same_as_torch(
        torch,
        lambda x, t: F.mse_loss(x, t, reduction=reduction),
        lambda x, t: torch.nn.functional.mse_loss(x, t, reduction=reduction),
        [np.asarray(rng.standard_normal(shape)) for _ in range(2)],
        dtype,
        device,
    )


def test_mse_mean_is_the_default(torch, rng):
    x, t = rng.standard_normal((2, 3, 4))
    assert_same_as_torch(torch, F.mse_loss, torch.nn.functional.mse_loss, [x, t], np.dtype("f8"))


@pytest.mark.filterwarnings("error")
def test_mse_mean_of_nothing_is_nan():
    x = tinynet.tensor(np.zeros((0, 3)), requires_grad=True)
    loss = F.mse_loss(x, tinynet.tensor(np.zeros((0, 3))))
    loss.backward()
    assert math.isnan(loss.item())
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_mse_gradcheck(rng, reduction):
    x, t = (tinynet.tensor(a, requires_grad=True) for a in rng.standard_normal((2, 3, 4)))
    assert tinynet.gradcheck(lambda x, t: F.mse_loss(x, t, reduction=reduction), (x, t))


def test_mse_loops(rng):
    x, t = rng.standard_normal((2, 3, 4))
    loss = F.mse_loss(tinynet.tensor(x), tinynet.tensor(t)).item()
    expected = sum((x[i] - t[i]) ** 2 for i in np.ndindex(3, 4)) / 12
    assert math.isclose(loss, expected, rel_tol=1e-14)


X = tinynet.tensor(np.zeros((2, 3)))


@pytest.mark.parametrize(
    "x, t, reduction, error, message",
    [
        (X, tinynet.tensor(np.zeros(3)), "mean", ValueError, r"target must have input's shape \(2, 3\), got \(3,\)"),
        (X, X, "average", ValueError, "reduction must be one of .* got 'average'"),
        (X, np.zeros((2, 3)), "mean", TypeError, r"target must be a tinynet.Tensor, got ndarray"),
        (X, tinynet.tensor(np.zeros((2, 3), "f4")), "mean", TypeError, "target is float32 but input is float64"),
        (tinynet.tensor([0, 0, 0]), X, "mean", TypeError, "input must be float32 or float64, got int64"),
    ],
)
def test_mse_bad_input_is_named(x, t, reduction, error, message):
    with pytest.raises(error, match=f"^mse_loss: {message}"):
        F.mse_loss(x, t, reduction=reduction)


# ---------------------------------------------------------------------------- nll_loss


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("ignored", [-100, 1])
def test_nll_same_as_torch(torch, rng, dtype, device, ignored, reduction):
    def scores(shape):
        return np.log(rng.uniform(0.01, 1, shape))

    how = dict(ignore_index=ignored, reduction=reduction)
    assert_loss_same_as_torch(torch, rng, dtype, device, "nll_loss", scores, **how)


@pytest.mark.parametrize("integer", ["uint8", "int16", "int32", "int64"])
def test_nll_takes_any_integers(rng, integer):
    x = tinynet.tensor(rng.standard_normal((4, 3)))
    t = np.array([0, 2, 1, 1])
    assert F.nll_loss(x, t.astype(integer)).item() == F.nll_loss(x, t).item()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("weight", [None, np.ones(3)])
def test_nll_mean_of_nothing_is_nan_and_its_gradient_0(weight):
    x = tinynet.tensor(np.zeros((2, 3)), requires_grad=True)
    loss = F.nll_loss(x, np.array([-100, -100]), weight)
    loss.backward()
    assert math.isnan(loss.item())
    assert x.grad.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert math.isnan(F.nll_loss(tinynet.tensor(np.zeros((0, 3))), np.zeros(0, int)).item())


@pytest.mark.filterwarnings("error")
def test_an_ignored_target_counts_nothing_even_where_the_input_is_infinite():
    x = tinynet.tensor([[-math.inf, -1.0], [-2.0, -3.0]], requires_grad=True)
    loss = F.nll_loss(x, np.array([0, 1]), ignore_index=0)
    loss.backward()
    assert loss.item() == 3
    assert x.grad.tolist() == [[0, 0], [0, -1]]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nll_gradcheck(rng, reduction):
    x = tinynet.tensor(rng.standard_normal((3, 4, 2)), requires_grad=True)
    t, w = targets(rng, (3, 4, 2), -1), rng.uniform(0.5, 2, 4)
    assert tinynet.gradcheck(lambda x: F.nll_loss(x, t, w, -1, reduction), x)


def test_nll_loops(rng):
    x, t, w = rng.standard_normal((5, 3)), np.array([0, 2, -1, 1, 1]), np.array([1.0, 3.0, 0.5])
    losses = [-w[c] * x[n, c] for n, c in enumerate(t) if c != -1]
    weights = [w[c] for c in t if c != -1]
    loss = F.nll_loss(tinynet.tensor(x), t, w, ignore_index=-1).item()
    assert math.isclose(loss, sum(losses) / sum(weights), rel_tol=1e-14)


# ---------------------------------------------------------------------------- nll_loss and cross_entropy

both_losses = pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])


@both_losses
def test_defaults(torch, rng, name):
    x, t = rng.standard_normal((4, 3)), np.array([0, 2, -100, 1])
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    assert_same_as_torch(torch, lambda x: ours(x, t), lambda x: theirs(x, torch.tensor(t)), [x], np.dtype("f8"))


T, TOO_LARGE, TOO_SMALL = np.array([1, 2, 3, 4]), np.array([1, 2, 3, 10]), np.array([1, -1, 2, 3])
IMAGES = np.zeros((2, 2, 3), int)
IMAGES[1, 0, 2] = IMAGES[1, 1, 0] = 9  # the first is named
NEEDS_GRAD = tinynet.tensor(np.ones(10), requires_grad=True)


@both_losses
@pytest.mark.parametrize(
    "x, t, how, error, message",
    [
        (np.zeros((4, 10)), TOO_LARGE, {}, ValueError, r"target holds 10 at index \(3,\), but .* 10 classes: 0 to 9"),
        (np.zeros((4, 10)), TOO_SMALL, {}, ValueError, r"target holds -1 at index \(1,\), but .* 10 classes: 0 to 9"),
        (np.zeros((2, 3, 2, 3)), IMAGES, {}, ValueError, r".* 9 at index \(1, 0, 2\), but .* 3 classes: 0 to 2"),
        (np.zeros(5), np.array(7), {}, ValueError, r"target holds 7 at index \(\), but input has 5 classes"),
        (np.zeros((4, 10)), T[:, None], {}, ValueError, r"target must have shape \(4,\) .* got \(4, 1\)"),
        (np.zeros((4, 10)), T > 2, {}, TypeError, "target must hold integers, the classes, got bool"),
        (np.zeros((4, 10)), T, dict(weight=np.ones(3)), ValueError, r"weight must have shape \(10,\), .* got \(3,\)"),
        (np.zeros((4, 10)), T, dict(weight=np.ones(10, "f4")), TypeError, "weight is float32 but input is float64"),
        (np.zeros((4, 10)), T, dict(weight=NEEDS_GRAD), ValueError, "weight is a constant here"),
        (np.zeros((4, 10)), T, dict(reduction="average"), ValueError, "reduction must be one of .* got 'average'"),
        (np.zeros((4, 10), int), T, {}, TypeError, "input must be float32 or float64, got int64"),
        (np.float64(1), T, {}, ValueError, r"input must be \(C,\) or \(N, C, ...\), got shape"),
    ],
)
def test_bad_input_is_named(name, x, t, how, error, message):
    for target in (t, tinynet.tensor(t)):
        with pytest.raises(error, match=f"^{name}: {message}"):
            getattr(F, name)(tinynet.tensor(x), target, **how)


@both_losses
def test_what_is_not_a_tensor_is_named(name):
    with pytest.raises(TypeError, match=f"^{name}: target must be a tensor or an array, got list"):
        getattr(F, name)(tinynet.tensor(np.zeros((4, 10))), [1, 2, 3, 4])
    with pytest.raises(TypeError, match=f"^{name}: input must be a tinynet.Tensor, got ndarray"):
        getattr(F, name)(np.zeros((4, 10)), T)


def test_floating_targets_are_not_classes():
    message = r"nll_loss: target must hold integers, the classes, got float64"
    with pytest.raises(TypeError, match=message):
        F.nll_loss(tinynet.tensor(np.zeros((4, 10))), np.zeros(4))
