"""cross_entropy. What it has in common with nll_loss is in test_losses.py: defaults, wrong arguments."""

import math

import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch, tolerance
from ops_cases import REDUCTIONS, assert_loss_same_as_torch, targets
from tinynet import functional as F

SMOOTHING = [0.0, 0.1, 1.0]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", SMOOTHING)
@pytest.mark.parametrize("ignored", [-100, 1])
def test_classes_same_as_torch(torch, rng, dtype, device, ignored, smoothing, reduction):
    def scores(shape):
        return 3 * rng.standard_normal(shape)

    how = dict(ignore_index=ignored, reduction=reduction, label_smoothing=smoothing)
    assert_loss_same_as_torch(torch, rng, dtype, device, "cross_entropy", scores, **how)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_probabilities_same_as_torch(torch, rng, dtype, device, smoothing, reduction):
    def scores(shape):
        return 3 * rng.standard_normal(shape)

    def probabilities(shape):
        p = rng.random(shape)
        return p / p.sum(0 if len(shape) == 1 else 1, keepdims=True)

    how = dict(reduction=reduction, label_smoothing=smoothing)
    assert_loss_same_as_torch(torch, rng, dtype, device, "cross_entropy", scores, probabilities, **how)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_extreme_scores_and_ties(torch, dtype, device, reduction):
    x = np.array(
        [
            [1e4, 0, -1e4],  # sure, and right
            [1e4, 0, -1e4],  # sure, and wrong
            [0, 0, 0],
            [1e4, 1e4, 1e4],
            [-1e4, -1e4 - 1, -1e4 - 2],
            [0, -np.inf, 1],  # a class that is masked out
        ]
    )
    t = np.array([0, 2, 1, 0, 2, 0])
    assert_same_as_torch(
        torch,
        lambda x: F.cross_entropy(x, tinynet.tensor(t, device=device), reduction=reduction),
        lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(t), reduction=reduction),
        [x],
        dtype,
        device,
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("smoothing", SMOOTHING)
@pytest.mark.parametrize("weight", [None, np.ones(3)])
def test_mean_of_nothing_is_nan_and_its_gradient_0(smoothing, weight):
    x = tinynet.tensor([[0.0, 1.0, 2.0]], requires_grad=True, dtype="float64")
    loss = F.cross_entropy(x, np.array([-100]), weight, label_smoothing=smoothing)
    loss.backward()
    assert math.isnan(loss.item())
    assert x.grad.tolist() == [[0, 0, 0]]
    empty = tinynet.tensor(np.zeros((0, 3)))
    assert math.isnan(F.cross_entropy(empty, np.zeros(0, int), weight).item())
    assert math.isnan(F.cross_entropy(empty, np.zeros((0, 3)), weight).item())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", SMOOTHING)
@pytest.mark.parametrize("scores", [[0, -np.inf, 1], [0, np.nan, 1], [0, np.inf, 1], [-np.inf] * 3], ids=str)
def test_whatever_the_scores_of_an_ignored_position(torch, dtype, device, scores, smoothing, reduction):
    """The loss is PyTorch's, and the position's gradient is 0 (where PyTorch's has NaN if the scores have)."""
    x, t = np.array([[1, 2, 3], scores, [2, 0, 0]], dtype), np.array([0, -100, 2])
    ours = tinynet.tensor(x, requires_grad=True, device=device)
    theirs = torch.tensor(x, requires_grad=True)
    loss = F.cross_entropy(ours, t, reduction=reduction, label_smoothing=smoothing)
    how = dict(reduction=reduction, label_smoothing=smoothing)
    expected = torch.nn.functional.cross_entropy(theirs, torch.tensor(t), **how)
    np.testing.assert_allclose(loss.numpy(), expected.detach().numpy(), **tolerance(dtype))
    loss.backward(np.ones(loss.shape))
    expected.backward(torch.ones_like(expected))
    gradient = tinynet.Tensor(ours.grad).numpy()
    np.testing.assert_allclose(gradient[[0, 2]], theirs.grad[[0, 2]], **tolerance(dtype))
    assert gradient[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_gradcheck_with_classes(rng, reduction, smoothing):
    x = tinynet.tensor(rng.standard_normal((3, 4, 2)), requires_grad=True)
    t, w = targets(rng, (3, 4, 2), -1), rng.uniform(0.5, 2, 4)
    assert tinynet.gradcheck(lambda x: F.cross_entropy(x, t, w, -1, reduction, smoothing), x)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", SMOOTHING[:2])
def test_gradcheck_with_probabilities(rng, reduction, smoothing):
    x = tinynet.tensor(rng.standard_normal((3, 4, 2)), requires_grad=True)
    t = tinynet.tensor(rng.random((3, 4, 2)), requires_grad=True)  # need not sum to 1
    w = rng.uniform(0.5, 2, 4)

    def loss(x, t):
        return F.cross_entropy(x, t, w, reduction=reduction, label_smoothing=smoothing)

    assert tinynet.gradcheck(loss, (x, t))


def test_loops_and_the_lesson(rng):
    x, t = rng.standard_normal((5, 3)), np.array([0, 2, 2, 1, 1])
    tensor = tinynet.tensor(x, requires_grad=True)
    loss = F.cross_entropy(tensor, t)
    loss.backward()
    expected = 0
    for n in range(5):
        total = sum(math.exp(v) for v in x[n])
        expected -= math.log(math.exp(x[n, t[n]]) / total) / 5
        for c in range(3):
            slope = (math.exp(x[n, c]) / total - (c == t[n])) / 5
            assert math.isclose(tensor.grad[n, c], slope, rel_tol=1e-12)
    assert math.isclose(loss.item(), expected, rel_tol=1e-14)


def test_one_class_is_a_distribution_of_one(rng):
    x, t = rng.standard_normal((4, 3)), np.array([0, 2, 1, 1])
    xs = [tinynet.tensor(x, requires_grad=True) for _ in range(2)]
    losses = F.cross_entropy(xs[0], t), F.cross_entropy(xs[1], np.eye(3)[t])
    for loss in losses:
        loss.backward()
    assert math.isclose(losses[0].item(), losses[1].item(), rel_tol=1e-14)
    np.testing.assert_allclose(xs[0].grad, xs[1].grad, rtol=1e-12)


def test_is_nll_of_log_softmax(rng):
    x, t, w = rng.standard_normal((4, 3)), np.array([0, 2, -100, 1]), np.array([1.0, 2.0, 3.0])
    xs = [tinynet.tensor(x, requires_grad=True) for _ in range(2)]
    losses = F.cross_entropy(xs[0], t, w), F.nll_loss(F.log_softmax(xs[1], 1), t, w)
    for loss in losses:
        loss.backward()
    assert math.isclose(losses[0].item(), losses[1].item(), rel_tol=1e-14)
    np.testing.assert_allclose(xs[0].grad, xs[1].grad, rtol=1e-12, atol=1e-16)


def test_only_the_target_learns(rng):
    x = tinynet.tensor(rng.standard_normal((2, 3)))
    t = tinynet.tensor(rng.random((2, 3)), requires_grad=True)
    F.cross_entropy(x, t).backward()
    np.testing.assert_allclose(t.grad, -F.log_softmax(x, 1).numpy() / 2, rtol=1e-12)


@pytest.mark.parametrize(
    "target, how, error, message",
    [
        (np.array([1, 2, 3, 4]), dict(label_smoothing=1.5), ValueError, "label_smoothing must be from 0 to 1, got 1.5"),
        (np.zeros(4), {}, ValueError, r"target holds probabilities .* \(4, 10\), got \(4,\)"),
        (np.zeros((4, 10)), dict(ignore_index=0), ValueError, "ignore_index=0 means nothing for probabilities"),
        (np.zeros((4, 10)), dict(ignore_index=3), ValueError, "ignore_index=3 means nothing for probabilities"),
        (np.zeros((4, 10), "f4"), {}, TypeError, "target is float32 but input is float64"),
    ],
)
def test_bad_input_is_named(target, how, error, message):
    with pytest.raises(error, match=f"^cross_entropy: {message}"):
        F.cross_entropy(tinynet.tensor(np.zeros((4, 10))), target, **how)
