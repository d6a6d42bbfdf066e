"""Reductions over some or all axes: sum, mean, var, max, min."""

from typing import Any, NamedTuple

import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from ops_cases import NOT_TENSORS, away_from, distinct
from tinynet import functional as F

# (shape, dim): every axis alone, several, all, counted from either end.
CASES = [
    ((), None),
    ((4,), None),
    ((4,), 0),
    ((4,), -1),
    ((2, 3), None),
    ((2, 3), 0),
    ((2, 3), 1),
    ((2, 3), (0,)),
    ((2, 3), (1, 0)),
    ((2, 3, 4), 1),
    ((2, 3, 4), -2),
    ((2, 3, 4), (0, -1)),
    ((2, 3, 4), (0, 1, 2)),
    ((1, 3, 2), (0, 2)),
]
NO_ROWS = ((0, 3), 1)
EMPTY = ((2, 0, 3), (0, 2))


def ties(rng, shape):
    return np.asarray(rng.integers(0, 2, shape) * 1.0)


def variance(elements, correction):
    mean = sum(elements) / len(elements)
    return sum((x - mean) ** 2 for x in elements) / (len(elements) - correction)


class Op(NamedTuple):
    name: str
    loop: Any  # of a list of elements
    torch_name: str = ""
    inputs: tuple = (away_from,)  # each (rng, shape) -> x; the first has no kinks
    extra: dict = {}  # arguments between dim and keepdim
    cases: list = [*CASES, NO_ROWS]


OPS = [
    Op("sum", sum, cases=[*CASES, NO_ROWS, EMPTY]),
    Op("mean", lambda elements: sum(elements) / len(elements), cases=[*CASES, NO_ROWS, EMPTY]),
    Op("max", max, "amax", (distinct, ties)),
    Op("min", min, "amin", (distinct, ties)),
    *(
        Op("var", lambda elements, c=c: variance(elements, c), extra=dict(correction=c), cases=CASES[1:])
        for c in (0, 1, 0.5)
    ),
]
NAMES = ["sum", "mean", "var", "max", "min"]


def case_id(value):
    return value.name + "".join(map(str, value.extra.values())) if isinstance(value, Op) else str(value)


every_op = pytest.mark.parametrize("op", OPS, ids=case_id)


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("op, shape, dim", [(op, *case) for op in OPS for case in op.cases], ids=case_id)
def test_same_as_torch(torch, rng, dtype, device, op, shape, dim, keepdim):
    def theirs(x):
        everything = () if op.torch_name else None  # how amax and sum are asked for all axes
        how = dict(dim=everything if dim is None else dim, keepdim=keepdim, **op.extra)
        return getattr(torch, op.torch_name or op.name)(x, **how)

    arguments = dim, *op.extra.values(), keepdim
    for draw in op.inputs:
        x = [draw(rng, shape)]
        assert_same_as_torch(torch, lambda x: getattr(F, op.name)(x, *arguments), theirs, x, dtype, device)
        assert_same_as_torch(torch, lambda x: getattr(x, op.name)(*arguments), theirs, x, dtype, device)


@pytest.mark.parametrize("name, arguments", [*((name, ()) for name in NAMES), *((n, (0,)) for n in NAMES[:3])])
def test_defaults(torch, rng, dtype, device, name, arguments):
    def f(x):
        return getattr(x, name)(*arguments)

    assert_same_as_torch(torch, f, f, [rng.integers(0, 2, (3, 4)) * 1.0], dtype, device)


@every_op
@pytest.mark.parametrize("dim", [None, 1, (0, -1)])
def test_gradcheck(rng, dim, op):
    x = tinynet.tensor(op.inputs[0](rng, (2, 3, 2)), requires_grad=True)
    assert tinynet.gradcheck(lambda x: getattr(F, op.name)(x, dim, **op.extra), x)
    assert tinynet.gradcheck(lambda x: getattr(x, op.name)(dim=dim, keepdim=True, **op.extra), x)


@every_op
@pytest.mark.parametrize("dim", [0, -1, (0, 2), (0, 1, 2)])
def test_loops(rng, dim, op):
    x = rng.standard_normal((2, 3, 4))
    y = getattr(F, op.name)(tinynet.tensor(x), dim, **op.extra).numpy()
    axes = {d % x.ndim for d in (dim if isinstance(dim, tuple) else (dim,))}
    groups = {}
    for index in np.ndindex(x.shape):
        rest = tuple(i for axis, i in enumerate(index) if axis not in axes)
        groups.setdefault(rest, []).append(float(x[index]))
    assert y.size == len(groups)
    for index, elements in groups.items():
        np.testing.assert_allclose(y[index], op.loop(elements), rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "dim, error, message",
    [
        (2, ValueError, "dim must be between -2 and 1, got 2"),
        (-3, ValueError, "dim must be between -2 and 1, got -3"),
        ((0, 2), ValueError, "dim must be between -2 and 1, got 2"),
        ((0, -2), ValueError, r"dim names an axis twice: \(0, -2\)"),
        (1.0, TypeError, "dim must be an integer, got float"),
        ((0, None), TypeError, "dim must be an integer, got NoneType"),
        (True, TypeError, "dim must be an integer, got bool"),
        (tinynet.tensor(1), TypeError, "dim must be an integer, got Tensor"),
    ],
)
def test_bad_dim(name, dim, error, message):
    with pytest.raises(error, match=f"^{name}: {message}"):
        getattr(F, name)(tinynet.tensor(np.ones((2, 3))), dim)


@pytest.mark.parametrize("name", NAMES)
def test_bad_input(name):
    op = getattr(F, name)
    with pytest.raises(ValueError, match=rf"^{name}: dim is 0, but a tensor of shape \(\) has no axes"):
        op(tinynet.tensor(1.0), 0)
    for value in NOT_TENSORS:
        with pytest.raises(TypeError, match=f"^{name}: input must be a tinynet.Tensor, got {type(value).__name__}"):
            op(value)


@pytest.mark.parametrize("name", ["mean", "var"])
def test_integers_are_refused(name):
    with pytest.raises(TypeError, match=f"^{name}: input must be float32 or float64, got int64"):
        getattr(F, name)(tinynet.tensor([1, 2]))


# ---------------------------------------------------------------------------- special cases


def test_sum_of_integers():
    for data, total in (([True, True, False], 2), (np.array([200, 100], np.uint8), 300)):
        y = F.sum(tinynet.tensor(data))
        assert y.dtype == np.int64
        assert y.item() == total


def test_the_gradient_of_a_leaf_can_be_written():
    x = tinynet.tensor(np.ones((2, 3)), requires_grad=True)
    F.sum(x).backward()
    x.grad[0, 0] = 5
    assert x.grad.tolist() == [[5, 1, 1], [1, 1, 1]]


def test_the_mean_of_no_elements_is_nan(torch):
    y = F.mean(tinynet.tensor(np.ones((0, 3), np.float32)), 0)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.numpy(), torch.ones(0, 3).mean(0).numpy())


def test_variance_far_from_zero(rng):
    """Squares of float32 numbers near 1000 have lost the digits that the variance is made of."""
    x = (1000 + rng.standard_normal(500)).astype(np.float32)
    expected = x.astype(np.float64).var(ddof=1)
    assert F.var(tinynet.tensor(x)).item() == pytest.approx(expected, rel=1e-5)


def test_variance_of_no_rows(dtype):
    x = tinynet.tensor(np.ones((0, 3), dtype), requires_grad=True)
    y = F.var(x, 1)
    assert y.shape == (0,)
    y.backward(np.ones(0))
    assert x.grad.shape == (0, 3)
    assert x.grad.dtype == dtype


@pytest.mark.parametrize(
    "dim, correction, error, message",
    [
        (0, 1, ValueError, r"input of shape \(1, 3\) has 1 elements along dim=0; correction=1 needs"),
        (1, 3, ValueError, r"input of shape \(1, 3\) has 3 elements along dim=1; correction=3 needs"),
        (1, "1", TypeError, "correction must be a number, got str"),
    ],
)
def test_var_bad_correction(dim, correction, error, message):
    with pytest.raises(error, match=f"^var: {message}"):
        F.var(tinynet.tensor(np.ones((1, 3))), dim, correction=correction)


@pytest.mark.parametrize("op, sign", [(F.max, 1), (F.min, -1)])
def test_ties_share_evenly(op, sign):
    x = tinynet.tensor([[3.0, 3.0, 1.0], [1.0, 2.0, 3.0]], requires_grad=True)
    op(sign * x).backward(6.0)
    assert x.grad.tolist() == [[2 * sign, 2 * sign, 0], [0, 0, 2 * sign]]


@pytest.mark.parametrize("op, expected", [(F.max, 3), (F.min, 1)])
def test_extremes_of_integers(op, expected):
    y = op(tinynet.tensor([3, 1, 2]))
    assert y.dtype == np.int64
    assert y.item() == expected


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("dim", [1, None])
def test_no_elements_have_no_extremes(name, dim):
    message = rf"^{name}: input of shape \(2, 0\) has no elements along dim={dim}"
    with pytest.raises(ValueError, match=message):
        getattr(F, name)(tinynet.tensor(np.ones((2, 0))), dim)
