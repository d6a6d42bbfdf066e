import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F
from tinynet.ops.arithmetic import unbroadcast

BINARY = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
}
PAIRS = [
    ((), ()),
    ((3,), ()),
    ((), (2, 3)),
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((2, 1), (1, 4)),
    ((1,), (2, 2, 3)),
    ((4, 1, 2), (3, 1)),
    ((0, 3), (3,)),
    ((1,), (0,)),
    ((1, 1), ()),
]


def operand(rng, op, shape, first):
    """Away from 0 below a fraction line, positive under a power; both signs elsewhere."""
    x = np.asarray(rng.standard_normal(shape))
    if op == "pow" and first:
        return np.abs(x) + 0.5
    return x + np.sign(x) * 0.5 if op == "div" and not first else x


@pytest.mark.parametrize("op", BINARY)
def test_same_as_torch(torch, rng, dtype, device, op):
    for shapes in PAIRS:
        xs = [operand(rng, op, s, i == 0) for i, s in enumerate(shapes)]
        assert_same_as_torch(torch, getattr(F, op), getattr(torch, op), xs, dtype, device)
        assert_same_as_torch(torch, BINARY[op], BINARY[op], xs, dtype, device)


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("number", [2.5, 3, np.float64(1.5), np.float32(0.5), np.int64(2)])
def test_a_number_takes_the_dtype_of_the_tensor(torch, rng, dtype, device, op, number):
    plain, f = number if isinstance(number, float | int) else number.item(), BINARY[op]
    for shape in [(), (2, 3), (0, 2)]:
        x = [np.asarray(np.abs(rng.standard_normal(shape)) + 0.5)]
        assert_same_as_torch(torch, lambda x: f(x, number), lambda x: f(x, plain), x, dtype, device)
        assert_same_as_torch(torch, lambda x: f(number, x), lambda x: f(plain, x), x, dtype, device)


@pytest.mark.parametrize("exponent", [-2, -1, -0.5, 0, 0.5, 1, 2, 3, 2.5, np.float64(3)])
def test_pow_of_a_number(torch, rng, dtype, device, exponent):
    x = np.abs(rng.standard_normal((3, 4))) + 0.5
    if float(exponent).is_integer():
        x[0] *= -1

    def theirs(x):
        return x ** float(exponent)

    assert_same_as_torch(torch, lambda x: x**exponent, theirs, [x], dtype, device)


def test_pow_corners(torch, dtype, device):
    x = np.array([0.0, 0.0, 0.0, 2.0, -2.0, -2.0])
    z = np.array([0.0, 1.0, 2.0, 0.0, 0.0, 3.0])
    exponent = tinynet.tensor(z.astype(dtype), device=device)
    other = torch.tensor(z.astype(dtype))
    assert_same_as_torch(torch, lambda x: x**exponent, lambda x: x**other, [x], dtype, device)
    # Towards the exponent only for x >= 0: a negative base has no power near 3.
    assert_same_as_torch(torch, F.pow, torch.pow, [x[:4], z[:4]], dtype, device)
    assert_same_as_torch(torch, lambda x: x**0, lambda x: x**0, [x], dtype, device)
    assert_same_as_torch(torch, lambda x: x**2, lambda x: x**2, [x], dtype, device)


def test_neg(torch, rng, dtype, device):
    for shape in [(), (3, 2), (0,)]:
        x = np.asarray(rng.standard_normal(shape))
        assert_same_as_torch(torch, F.neg, torch.neg, [x], dtype, device)
        assert_same_as_torch(torch, operator.neg, operator.neg, [x], dtype, device)


@pytest.mark.parametrize("op", BINARY)
def test_gradcheck(rng, op):
    for shapes in [((2, 3), (2, 3)), ((2, 1, 3), (4, 1)), ((), (3,)), ((3,), ())]:
        xs = [
            tinynet.tensor(operand(rng, op, s, i == 0), requires_grad=True)
            for i, s in enumerate(shapes)
        ]
        assert tinynet.gradcheck(BINARY[op], xs)
    assert tinynet.gradcheck(lambda x: BINARY[op](x, 2.5), xs[:1])
    assert tinynet.gradcheck(lambda x: BINARY[op](2.5, x), xs[:1])


@pytest.mark.parametrize("op", BINARY)
def test_reference(rng, op):
    x, z = operand(rng, op, (2, 3, 1), True), operand(rng, op, (3, 4), False)
    y = getattr(F, op)(tinynet.tensor(x), tinynet.tensor(z)).numpy()
    for i, j, k in np.ndindex(2, 3, 4):
        assert y[i, j, k] == pytest.approx(BINARY[op](x[i, j, 0], z[j, k]), rel=1e-14)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.data())
def test_unbroadcast_is_the_transpose_of_broadcasting(data):
    """For every linear map B and its transpose: sum(v * B(u)) = sum(B^T(v) * u)."""
    whole = data.draw(st.lists(st.integers(0, 3), max_size=4))
    keep = data.draw(st.integers(0, len(whole)))
    shape = tuple(n if data.draw(st.booleans()) else 1 for n in whole[len(whole) - keep :])
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal(shape), rng.standard_normal(whole)
    back = unbroadcast(v, shape)
    assert back.shape == shape
    np.testing.assert_allclose((v * np.broadcast_to(u, whole)).sum(), (back * u).sum(), atol=1e-12)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=3), st.lists(st.integers(0, 3), max_size=3))
def test_shapes_broadcast_exactly_where_numpy_says(first, second):
    x, z = tinynet.tensor(np.ones(first)), tinynet.tensor(np.ones(second))
    try:
        shape = np.broadcast_shapes(tuple(first), tuple(second))
    except ValueError:
        with pytest.raises(ValueError, match="do not broadcast"):
            x + z
    else:
        assert (x + z).shape == shape


@pytest.mark.parametrize("op", BINARY)
def test_shapes_that_do_not_broadcast(op):
    x, z = tinynet.tensor(np.ones((2, 3))), tinynet.tensor(np.ones((4, 1, 2)))
    second = "exponent" if op == "pow" else "other"
    message = rf"{op}: input has shape \(2, 3\) and {second} \(4, 1, 2\): lengths 3 and 2"
    with pytest.raises(ValueError, match=message):
        getattr(F, op)(x, z)


@pytest.mark.parametrize("op", BINARY)
def test_operands_that_are_no_tensors(op):
    x = tinynet.tensor([1.0, 2.0])
    argument = "exponent" if op == "pow" else "other"
    for bad, name in ((None, "NoneType"), ("2", "str"), ([1.0], "list"), (1j, "complex")):
        with pytest.raises(TypeError, match=f"{op}: {argument} must be a number, got {name}"):
            getattr(F, op)(x, bad)
        with pytest.raises(TypeError, match=f"{op}: input must be a number, got {name}"):
            getattr(F, op)(bad, x)
    with pytest.raises(TypeError, match=f"{op}: input must be a tinynet.Tensor, got float"):
        getattr(F, op)(1.0, 2.0)


def test_arrays_keep_their_dtype():
    x = tinynet.tensor([1.0, 2.0])
    for y in (x + np.ones(2, np.float32), np.ones(2, np.float32) + x):
        assert y.numpy().tolist() == [2, 3]
        assert y.dtype == np.float32
    with pytest.raises(TypeError, match="add: other is float64 but input is float32"):
        x + np.ones(2)
    with pytest.raises(TypeError, match="sub: other is float32 but input is float64"):
        np.ones(2) - x


def test_numpy_scalars_on_the_left():
    y = np.float64(3) * tinynet.tensor([1.0, 2.0])
    assert isinstance(y, tinynet.Tensor)
    assert y.dtype == np.float32
    assert y.numpy().tolist() == [3, 6]


def test_integers():
    i = tinynet.tensor([3, 4])
    assert (i + 1).dtype == (i * i).dtype == (-i).dtype == (2 - i).dtype == np.int64
    assert (tinynet.tensor([True]) + 1).dtype == np.int64
    assert (tinynet.tensor(np.array([250], np.uint8)) + 5).dtype == np.uint8
    for y in (i / 2, i / i, 1 / i, i + 0.5, i * 0.5):
        assert y.dtype == np.float32
        assert not y.requires_grad
    assert (i / 2).numpy().tolist() == [1.5, 2]
    assert (i + 0.5).numpy().tolist() == [3.5, 4.5]


def test_integer_tensors_take_the_floating_dtype(dtype):
    x = tinynet.tensor(np.array([1.5, 2.5], dtype), requires_grad=True)
    i = tinynet.tensor([2, 3])
    for y in (x * i, i * x, x + i, i - x, x / i, i / x, x**i, i**x):
        assert y.dtype == dtype
        assert y.requires_grad
    (x * i).backward([1.0, 10.0])
    assert x.grad.dtype == dtype
    assert x.grad.tolist() == [2, 30]


def test_pow_of_integers_is_refused():
    i = tinynet.tensor([2, 3])
    for power in (lambda: i**2, lambda: i**i, lambda: 2**i):
        with pytest.raises(TypeError, match="pow: input must be float32 or float64, got int64"):
            power()


def test_comparisons(rng, device):
    x, z = rng.integers(0, 3, (2, 3)).astype(np.float32), np.array([0, 1, 2], np.float32)
    a = tinynet.tensor(x, requires_grad=True, device=device)
    b = tinynet.tensor(z, requires_grad=True, device=device)
    for relation in (operator.gt, operator.ge, operator.lt, operator.le):
        for y, expected in (
            (relation(a, b), relation(x, z)),
            (relation(a, 1), relation(x, 1)),
            (relation(1.5, a), relation(1.5, x)),
        ):
            assert y.dtype == bool
            assert not y.requires_grad
            assert y.function is None
            np.testing.assert_array_equal(y.numpy(), expected)
    assert bool(a.sum() > -1)
    with pytest.raises(ValueError, match=r"compare: input has shape \(2, 3\) and other \(2,\)"):
        operator.gt(a, tinynet.tensor(np.ones(2, np.float32), device=device))


def test_equality_is_identity():
    x, z = tinynet.tensor([1.0]), tinynet.tensor([1.0])
    assert x == x
    assert x != z
    assert len({x, z, x}) == 2


def test_only_what_a_gradient_needs_is_saved():
    x = tinynet.tensor(np.ones(1000), requires_grad=True)
    saved = (x * 2).function.saved
    assert saved[0].shape == ()
    assert saved[1] is None
    assert "saved" not in vars((x + x).function)
    assert F.mul(tinynet.tensor(np.ones(3)), 2.0).function is None


def test_large_arrays_of_two_layouts(rng):
    x = rng.standard_normal((300, 200))
    y = tinynet.tensor(x) * tinynet.tensor(x).T.reshape(300, 200)
    np.testing.assert_array_equal(y.numpy(), x * x.T.reshape(300, 200))
