import itertools
import math

import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

REDUCTIONS = ["none", "sum", "mean"]
SHAPES = [(5,), (1, 1), (4, 3), (2, 3, 4), (2, 3, 2, 3), (0, 3), (0, 3, 2)]


def class_count(shape):
    return shape[0 if len(shape) == 1 else 1]


def targets(rng, shape, ignored):
    """Classes for an input of `shape`; about a third of them `ignored`, but never the first."""
    places = () if len(shape) == 1 else (shape[0], *shape[2:])
    t = rng.integers(0, class_count(shape), places)
    if t.size > 1:
        t.reshape(-1)[0] = 0
        t.reshape(-1)[1:][rng.random(t.size - 1) < 0.4] = ignored
    return t


def everywhere(torch, device, *arrays):
    """The constants among a loss's arguments, for tinynet and for PyTorch."""
    ours = [None if a is None else tinynet.tensor(a, device=device) for a in arrays]
    return ours, [None if a is None else torch.tensor(a) for a in arrays]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("ignored", [-100, 1])
def test_same_as_torch(torch, rng, dtype, device, ignored, reduction):
    how = dict(ignore_index=ignored, reduction=reduction)
    theirs = torch.nn.functional.nll_loss
    for shape, weighted in itertools.product(SHAPES, [False, True]):
        t = targets(rng, shape, ignored)
        if reduction == "mean" and (t == ignored).all():
            continue  # the mean of nothing is nan, tested below
        w = rng.uniform(0.5, 2, class_count(shape)).astype(dtype) if weighted else None
        (our_t, our_w), (their_t, their_w) = everywhere(torch, device, t, w)
        assert_same_as_torch(
            torch,
            lambda x: F.nll_loss(x, our_t, our_w, **how),  # noqa: B023
            lambda x: theirs(x, their_t, their_w, **how),  # noqa: B023
            [np.log(rng.uniform(0.01, 1, shape))],
            dtype,
            device,
        )


def test_defaults(torch, rng):
    x, t = rng.standard_normal((4, 3)), np.array([0, 2, -100, 1])
    assert_same_as_torch(
        torch,
        lambda x: F.nll_loss(x, t),
        lambda x: torch.nn.functional.nll_loss(x, torch.tensor(t)),
        [x],
        np.dtype("f8"),
    )


@pytest.mark.parametrize("integer", ["uint8", "int16", "int32", "int64"])
def test_any_integer_will_do(rng, integer):
    x = tinynet.tensor(rng.standard_normal((4, 3)))
    t = np.array([0, 2, 1, 1])
    assert F.nll_loss(x, t.astype(integer)).item() == F.nll_loss(x, t).item()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("weight", [None, np.ones(3)])
def test_mean_of_nothing_is_nan_and_its_gradient_0(weight):
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
def test_gradcheck(rng, reduction):
    x = tinynet.tensor(rng.standard_normal((3, 4, 2)), requires_grad=True)
    t, w = targets(rng, (3, 4, 2), -1), rng.uniform(0.5, 2, 4)
    assert tinynet.gradcheck(lambda x: F.nll_loss(x, t, w, -1, reduction), x)


def test_loops(rng):
    x, t, w = rng.standard_normal((5, 3)), np.array([0, 2, -1, 1, 1]), np.array([1.0, 3.0, 0.5])
    losses = [-w[c] * x[n, c] for n, c in enumerate(t) if c != -1]
    weights = [w[c] for c in t if c != -1]
    loss = F.nll_loss(tinynet.tensor(x), t, w, ignore_index=-1).item()
    assert math.isclose(loss, sum(losses) / sum(weights), rel_tol=1e-14)


@pytest.mark.parametrize("op", [F.nll_loss, F.cross_entropy], ids=["nll_loss", "cross_entropy"])
def test_bad_input_is_named(op):
    name = op.__name__
    x, t = tinynet.tensor(np.zeros((4, 10))), np.array([1, 2, 3, 4])
    for bad, index in (([1, 2, 3, 10], 3), ([1, -1, 2, 3], 1)):
        message = (
            f"{name}: target holds {bad[index]} at index \\({index},\\), "
            "but input has 10 classes: 0 to 9"
        )
        with pytest.raises(ValueError, match=message):
            op(x, np.array(bad))
        with pytest.raises(ValueError, match=message):
            op(x, tinynet.tensor(np.array(bad)))
    message = r"holds 9 at index \(1, 0, 2\), but input has 3 classes: 0 to 2"
    with pytest.raises(ValueError, match=message):
        images = np.zeros((2, 2, 3), int)
        images[1, 0, 2] = 9
        op(tinynet.tensor(np.zeros((2, 3, 2, 3))), images)
    with pytest.raises(ValueError, match=r"holds 7 at index \(\), but input has 5 classes"):
        op(tinynet.tensor(np.zeros(5)), np.array(7))
    message = f"{name}: target must have shape \\(4,\\) .* got \\(4, 1\\)"
    with pytest.raises(ValueError, match=message):
        op(x, t[:, None])
    message = f"{name}: target must hold integers, the classes, got bool"
    with pytest.raises(TypeError, match=message):
        op(x, t > 2)
    with pytest.raises(TypeError, match=f"{name}: target must be a tensor or an array, got list"):
        op(x, [1, 2, 3, 4])
    message = f"{name}: weight must have shape \\(10,\\), .* got \\(3,\\)"
    with pytest.raises(ValueError, match=message):
        op(x, t, np.ones(3))
    with pytest.raises(TypeError, match=f"{name}: weight is float32 but input is float64"):
        op(x, t, np.ones(10, np.float32))
    with pytest.raises(ValueError, match=f"{name}: weight is a constant here"):
        op(x, t, tinynet.tensor(np.ones(10), requires_grad=True))
    with pytest.raises(ValueError, match=f"{name}: reduction must be one of .* got 'average'"):
        op(x, t, reduction="average")
    with pytest.raises(TypeError, match=f"{name}: input must be float32 or float64, got int64"):
        op(tinynet.tensor(np.zeros((4, 10), np.int64)), t)
    with pytest.raises(TypeError, match=f"{name}: input must be a tinynet.Tensor, got ndarray"):
        op(np.zeros((4, 10)), t)
    message = f"{name}: input must be \\(C,\\) or \\(N, C, ...\\), got shape"
    with pytest.raises(ValueError, match=message):
        op(tinynet.tensor(1.0), t)


def test_floating_targets_are_not_classes():
    message = r"nll_loss: target must hold integers, the classes, got float64"
    with pytest.raises(TypeError, match=message):
        F.nll_loss(tinynet.tensor(np.zeros((4, 10))), np.zeros(4))
