"""The same elements in another shape or order of axes: reshape, flatten, permute, transpose."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinynet
from compare import assert_same_as_torch
from ops_cases import NOT_TENSORS
from tinynet import functional as F

# (name, shape, arguments)
CASES = [
    ("reshape", (), ((1, 1),)),
    ("reshape", (1,), ((),)),
    ("reshape", (6,), ((2, 3),)),
    ("reshape", (2, 3), ((6,),)),
    ("reshape", (2, 3), ((-1,),)),
    ("reshape", (2, 3, 4), ((3, -1, 2),)),
    ("reshape", (2, 3, 4), ((-1, 24),)),
    ("reshape", (0, 3), ((3, 0),)),
    ("reshape", (0, 3), ((-1, 3),)),
    ("flatten", (), ()),
    ("flatten", (3,), ()),
    ("flatten", (2, 3, 4), ()),
    ("flatten", (2, 3, 4), (1,)),
    ("flatten", (2, 3, 4), (0, 1)),
    ("flatten", (2, 3, 4), (-2, -1)),
    ("flatten", (2, 3), (1, 1)),
    ("flatten", (0, 2, 3), (1,)),
    *(("permute", (2, 3, 4), (dims,)) for dims in itertools.permutations(range(3))),
    ("permute", (), ((),)),
    ("permute", (3,), ((-1,),)),
    ("permute", (2, 3, 4, 1), ((0, -1, 1, 2),)),
    ("permute", (0, 3), ((1, 0),)),
    ("transpose", (3,), (0, 0)),
    ("transpose", (2, 3), (0, 1)),
    ("transpose", (2, 3, 4), (0, -1)),
    ("transpose", (2, 3, 4), (-2, 0)),
    ("transpose", (0, 3), (1, 0)),
]


@pytest.mark.parametrize("name, shape, arguments", CASES, ids=str)
def test_same_as_torch(torch, rng, dtype, device, name, shape, arguments):
    def theirs(x):
        return getattr(torch, name)(x, *arguments)

    forms = [lambda x: getattr(F, name)(x, *arguments), lambda x: getattr(x, name)(*arguments)]
    if name in ("reshape", "permute"):  # x.reshape(2, 3) like x.reshape((2, 3))
        forms += [lambda x: getattr(x, name)(*arguments[0])]
    for ours in forms:
        assert_same_as_torch(torch, ours, theirs, [np.asarray(rng.standard_normal(shape))], dtype, device)


@pytest.mark.parametrize(
    "form",
    [lambda x: x.T, lambda x: x.T.reshape(2, 6), lambda x: x.reshape(-1), lambda x: x.T.flatten()],
)
def test_methods(torch, rng, dtype, device, form):
    assert_same_as_torch(torch, form, form, [rng.standard_normal((3, 4))], dtype, device)


@pytest.mark.parametrize(
    "name, arguments, moved",  # moved: where element (i, j, k) of (2, 3, 4) goes
    [
        ("reshape", ((4, 6),), lambda i, j, k: divmod(12 * i + 4 * j + k, 6)),
        ("flatten", (1,), lambda i, j, k: (i, 4 * j + k)),
        ("permute", ((1, 2, 0),), lambda i, j, k: (j, k, i)),
        ("transpose", (0, 2), lambda i, j, k: (k, j, i)),
    ],
)
def test_loops_and_gradcheck(rng, name, arguments, moved):
    x = tinynet.tensor(rng.standard_normal((2, 3, 4)), requires_grad=True)
    y = getattr(F, name)(x, *arguments)
    for index in np.ndindex(x.shape):
        assert y.numpy()[moved(*index)] == x.numpy()[index]
    assert tinynet.gradcheck(lambda x: getattr(F, name)(x, *arguments), x)


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3), max_size=4), st.randoms(use_true_random=False))
def test_any_shape_of_as_many_elements(shape, random):
    x = np.random.default_rng(0).standard_normal(shape)
    to = list(shape)
    random.shuffle(to)
    t = tinynet.tensor(x, requires_grad=True)
    y = t.reshape(to)
    np.testing.assert_array_equal(y.numpy(), x.reshape(to))
    y.backward(2 * y.numpy())
    np.testing.assert_array_equal(t.grad, 2 * x)
    if to:
        hidden = random.randrange(len(to))
        assert t.reshape([-1 if i == hidden else n for i, n in enumerate(to)]).shape == tuple(to)


def test_reshape_is_a_view():
    x = tinynet.tensor(np.ones((2, 3)))
    assert np.shares_memory(x.reshape(6).data, x.data)


@pytest.mark.parametrize(
    "name, shape, arguments, error, message",
    [
        ("reshape", (2, 3), ((4,),), ValueError, r"input of shape \(2, 3\) has 6 elements, .* not fill shape \(4,\)"),
        ("reshape", (2, 3), ((4, -1),), ValueError, r".* do not fill shape \(4, -1\)"),
        ("reshape", (0, 3), ((0, -1),), ValueError, r".* do not fill shape \(0, -1\)"),
        ("reshape", (2, 3), ((-1, -1),), ValueError, r"only one length may be -1, got \(-1, -1\)"),
        ("reshape", (2, 3), ((-2, -3),), ValueError, r"shape must hold lengths, .* got \(-2, -3\)"),
        ("reshape", (2, 3), ((2, 3.0),), ValueError, "shape must hold lengths"),
        ("reshape", (2, 3), ("6",), ValueError, "shape must hold lengths"),
        ("flatten", (2, 3), (2,), ValueError, "start_dim must be between -2 and 1, got 2"),
        ("flatten", (2, 3), (0, -3), ValueError, "end_dim must be between -2 and 1, got -3"),
        ("flatten", (2, 3), (1, 0), ValueError, "start_dim=1 comes after end_dim=0"),
        *(
            ("permute", (2, 3), (dims,), ValueError, r"dims must name each axis of shape \(2, 3\) once")
            for dims in ((0,), (0, 0), (0, 1, 1), ())
        ),
        ("permute", (2, 3), ((0, 2),), ValueError, "dims must be between -2 and 1, got 2"),
        ("permute", (2, 3), ("01",), TypeError, "dims must be (an integer, got str|a tuple of integers, got '01')"),
        ("transpose", (2, 3), (2, 0), ValueError, "dim0 must be between -2 and 1, got 2"),
        ("transpose", (2, 3), (0, -3), ValueError, "dim1 must be between -2 and 1, got -3"),
        ("transpose", (2, 3), (0, 1.0), TypeError, "dim1 must be an integer, got float"),
    ],
)
def test_bad_arguments(name, shape, arguments, error, message):
    x = tinynet.tensor(np.ones(shape))
    for call in (getattr(F, name), getattr(tinynet.Tensor, name)):
        with pytest.raises(error, match=f"^{name}: {message}"):
            call(x, *arguments)


def test_T_of_what_is_not_a_matrix():
    with pytest.raises(ValueError, match=r"T needs a tensor with two axes, got shape \(6,\)"):
        tinynet.tensor(np.ones(6)).T  # noqa: B018 (the property raises)


@pytest.mark.parametrize(
    "name, arguments", [("reshape", ((1,),)), ("flatten", ()), ("permute", ((1, 0),)), ("transpose", (0, 1))]
)
def test_not_a_tensor(name, arguments):
    for value in NOT_TENSORS:
        message = f"^{name}: input must be a tinynet.Tensor, got {type(value).__name__}"
        with pytest.raises(TypeError, match=message):
            getattr(F, name)(value, *arguments)
