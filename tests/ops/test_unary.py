"""Operations on one number at a time. relu has a file of its own; neg is in test_arithmetic.py."""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinynet
from compare import LARGE, assert_same_as_torch
from ops_cases import NOT_TENSORS, away_from, torch_function
from tinynet import functional as F

SHAPES = [(), (1,), (3, 4), (2, 3, 5, 5), (0, 3), LARGE]
SLOPES = [0.01, 0.2, 0.3, 0.0, 1.5, -0.5]
BOUNDS = [(-0.5, 0.5), (-0.3, 0.4), (None, 0.25), (0, None), (-1, 1), (0.5, -0.5), (np.float64(-0.1), 2)]


def logistic(x):
    return 1 / (1 + math.exp(-x))


def positive(rng, shape):
    return np.asarray(rng.uniform(0.1, 3, shape))


class Op(NamedTuple):
    name: str
    value: Any  # of one number
    slope: Any
    inputs: Any = away_from  # (rng, shape) -> x, away from the kinks
    arguments: tuple = ()
    exact: bool = False  # no rounding: equal to the loops, bit for bit
    special: tuple = ()  # inputs at and near the kinks, where we take PyTorch's slope


def clip(low, high):
    low_, high_ = -math.inf if low is None else low, math.inf if high is None else high
    return Op(
        "clip",
        lambda x: min(max(x, low_), high_),
        lambda x: float(low_ <= x <= high_),
        lambda rng, shape: away_from(rng, shape, low_, high_),
        (low, high),
        exact=True,
    )


def leaky_relu(a):
    special = (-1e4, -1e-30, -0.0, 0.0, 1e-30, 1e4)
    value, slope = lambda x: x if x > 0 else a * x, lambda x: 1 if x > 0 else a
    return Op("leaky_relu", value, slope, away_from_zero, (a,), True, special)


def away_from_zero(rng, shape):
    return away_from(rng, shape, 0)


OPS = [
    Op("abs", abs, lambda x: 1 if x > 0 else -1, away_from_zero, (), True, (-1.0, 0.0, 2.0)),
    Op("exp", math.exp, math.exp),
    Op("log", math.log, lambda x: 1 / x, positive),
    Op("sqrt", math.sqrt, lambda x: 0.5 / math.sqrt(x), positive),
    Op("sigmoid", logistic, lambda x: logistic(x) * (1 - logistic(x))),
    Op("tanh", math.tanh, lambda x: 1 / math.cosh(x) ** 2),
    *map(leaky_relu, SLOPES),
    *(clip(*bounds) for bounds in BOUNDS),
]
METHODS = "abs", "clip", "exp", "log", "sqrt"
every_op = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name + str(op.arguments or ""))


@every_op
def test_same_as_torch(torch, rng, dtype, device, op):
    ours, theirs = getattr(F, op.name), torch_function(torch, op.name)
    # Times 3: into the flat ends of sigmoid and tanh.
    for x in [np.array(op.special), *(3 * op.inputs(rng, shape) for shape in SHAPES)]:
        forms = [(lambda x: ours(x, *op.arguments), lambda x: theirs(x, *op.arguments))]
        if op.name in METHODS:
            forms += [(lambda x: getattr(x, op.name)(*op.arguments),) * 2]
        for our_form, their_form in forms:
            assert_same_as_torch(torch, our_form, their_form, [x], dtype, device)


@pytest.mark.parametrize("op", [op for op in OPS if op.name in METHODS], ids=lambda op: op.name)
def test_memory_that_is_not_in_row_major_order(torch, rng, dtype, device, op):
    def method(x):
        return getattr(x.T, op.name)(*op.arguments)

    assert_same_as_torch(torch, method, method, [op.inputs(rng, (3, 4))], dtype, device)


@every_op
def test_gradcheck(rng, op):
    x = tinynet.tensor(op.inputs(rng, (3, 5)), requires_grad=True)
    assert tinynet.gradcheck(lambda x: getattr(F, op.name)(x, *op.arguments), x)


@every_op
def test_loops(rng, op):
    x, dy = op.inputs(rng, (3, 5)), rng.standard_normal((3, 5))
    tensor = tinynet.tensor(x, requires_grad=True)
    y = getattr(F, op.name)(tensor, *op.arguments)
    y.backward(dy)
    for i, j in np.ndindex(x.shape):
        assert math.isclose(y.numpy()[i, j], op.value(x[i, j]), rel_tol=0 if op.exact else 1e-14)
        assert math.isclose(tensor.grad[i, j], op.slope(x[i, j]) * dy[i, j], rel_tol=0 if op.exact else 1e-12)


@pytest.mark.parametrize("name", ["exp", "leaky_relu", "log", "sigmoid", "sqrt", "tanh"])
def test_integers_are_refused(name):
    with pytest.raises(TypeError, match=f"^{name}: input must be float32 or float64, got int64"):
        getattr(F, name)(tinynet.tensor([1, 2]))


@every_op
def test_not_a_tensor(op):
    for value in NOT_TENSORS:
        message = f"^{op.name}: input must be a tinynet.Tensor, got {type(value).__name__}"
        with pytest.raises(TypeError, match=message):
            getattr(F, op.name)(value, *op.arguments)


# ---------------------------------------------------------------------------- special cases


def test_abs_operator(torch, rng, dtype, device):
    for shape in SHAPES:
        assert_same_as_torch(torch, abs, abs, [away_from_zero(rng, shape)], dtype, device)


def test_abs_of_integers():
    y = F.abs(tinynet.tensor([-3, 2]))
    assert y.dtype == np.int64
    assert y.numpy().tolist() == [3, 2]


@pytest.mark.parametrize("name", ["exp", "sqrt"])
def test_the_output_is_saved_and_not_the_input(name):
    x = tinynet.tensor([1.0, 2.0], requires_grad=True)
    y = getattr(F, name)(x)
    assert len(y.function.saved) == 1
    assert y.function.saved[0] is y.data


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name, far", [("sigmoid", 87), ("tanh", 89)])
def test_extreme_values_give_limits_and_no_warnings(torch, dtype, name, far):
    x = np.array([-np.inf, -1e4, -far, -50, -20, 0, 20, 50, far, 1e4, np.inf])
    ours, theirs = getattr(F, name), getattr(torch, name)
    assert_same_as_torch(torch, ours, theirs, [x], dtype, rtol=1e-5, atol=0)
    assert math.isnan(ours(tinynet.tensor(math.nan)).item())


def test_leaky_relu_default_slope(torch):
    x = np.array([-2.0, 0.0, 3.0])
    assert_same_as_torch(torch, F.leaky_relu, torch.nn.functional.leaky_relu, [x], np.dtype("f8"))


def test_leaky_relu_bad_slope():
    with pytest.raises(TypeError, match=r"leaky_relu: negative_slope must be a number, got str"):
        F.leaky_relu(tinynet.tensor([1.0]), "0.1")


def test_at_the_bounds_of_clip_the_gradient_passes(torch, dtype, device):
    x = [np.array([-1.5, -1, 0, 1, 1.5])]
    for f in (lambda x: x.clip(-1, 1), lambda x: x.clip(min=-1), lambda x: x.clip(max=1)):
        assert_same_as_torch(torch, f, f, x, dtype, device)


def test_clip_loses_an_infinite_cotangent_outside():
    x = tinynet.tensor([-1.0, 0.5], requires_grad=True)
    F.clip(x, 0, 1).backward([np.inf, 1])
    assert x.grad.tolist() == [0, 1]


def test_clip_integers():
    y = F.clip(tinynet.tensor([-3, 2, 7]), 0, 5)
    assert y.dtype == np.int64
    assert y.numpy().tolist() == [0, 2, 5]
    with pytest.raises(TypeError, match=r"clip: max is 0.5, but input holds int64"):
        F.clip(tinynet.tensor([1]), max=0.5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((), ValueError, "clip: give min, max or both"),
        (("0",), TypeError, "clip: min must be a number, got str"),
        ((0, np.ones(1)), TypeError, "clip: max must be a number, got ndarray"),
    ],
)
def test_clip_bad_bounds(arguments, error, message):
    with pytest.raises(error, match=message):
        F.clip(tinynet.tensor([1.0]), *arguments)
