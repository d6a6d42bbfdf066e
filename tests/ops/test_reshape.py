import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

CASES = [
    ((), (1, 1)),
    ((1,), ()),
    ((6,), (2, 3)),
    ((2, 3), (6,)),
    ((2, 3), (-1,)),
    ((2, 3, 4), (3, -1, 2)),
    ((2, 3, 4), (-1, 24)),
    ((0, 3), (3, 0)),
    ((0, 3), (-1, 3)),
]


@pytest.mark.parametrize(("shape", "to"), CASES)
def test_same_as_torch(torch, rng, dtype, device, shape, to):
    def theirs(x):
        return torch.reshape(x, to)

    x = np.asarray(rng.standard_normal(shape))
    for ours in (lambda x: F.reshape(x, to), lambda x: x.reshape(to), lambda x: x.reshape(*to)):
        assert_same_as_torch(torch, ours, theirs, [x], dtype, device)


def test_methods(torch, rng, dtype, device):
    x = [rng.standard_normal((3, 4))]
    for f in (lambda x: x.T.reshape(2, 6), lambda x: x.reshape(-1), lambda x: x.T.flatten()):
        assert_same_as_torch(torch, f, f, x, dtype, device)


@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((), ()),
        ((3,), ()),
        ((2, 3, 4), ()),
        ((2, 3, 4), (1,)),
        ((2, 3, 4), (0, 1)),
        ((2, 3, 4), (-2, -1)),
        ((2, 3), (1, 1)),
        ((0, 2, 3), (1,)),
    ],
)
def test_flatten_same_as_torch(torch, rng, dtype, device, shape, dims):
    def theirs(x):
        return torch.flatten(x, *dims)

    x = np.asarray(rng.standard_normal(shape))
    assert_same_as_torch(torch, lambda x: F.flatten(x, *dims), theirs, [x], dtype, device)
    assert_same_as_torch(torch, lambda x: x.flatten(*dims), theirs, [x], dtype, device)


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


def test_gradcheck(rng):
    x = tinynet.tensor(rng.standard_normal((2, 3, 2)), requires_grad=True)
    assert tinynet.gradcheck(lambda x: F.reshape(x, (3, 4)), x)
    assert tinynet.gradcheck(lambda x: F.flatten(x, 1), x)


def test_reference(rng):
    x = rng.standard_normal((2, 3))
    y = F.reshape(tinynet.tensor(x), (3, 2)).numpy()
    for place, (i, j) in enumerate(np.ndindex(2, 3)):
        assert y[place // 2, place % 2] == x[i, j]


def test_forward_is_a_view():
    x = tinynet.tensor(np.ones((2, 3)))
    assert np.shares_memory(x.reshape(6).data, x.data)


@pytest.mark.parametrize(
    ("shape", "to", "message"),
    [
        ((2, 3), (4,), r"input of shape \(2, 3\) has 6 elements, which do not fill shape \(4,\)"),
        ((2, 3), (4, -1), r"do not fill shape \(4, -1\)"),
        ((0, 3), (0, -1), r"do not fill shape \(0, -1\)"),
        ((2, 3), (-1, -1), r"reshape: only one length may be -1, got \(-1, -1\)"),
        ((2, 3), (-2, -3), r"reshape: shape must hold lengths, .* got \(-2, -3\)"),
        ((2, 3), (2, 3.0), "reshape: shape must hold lengths"),
        ((2, 3), "6", "reshape: shape must hold lengths"),
    ],
)
def test_bad_shapes(shape, to, message):
    with pytest.raises(ValueError, match=message):
        F.reshape(tinynet.tensor(np.ones(shape)), to)


def test_bad_arguments():
    x = tinynet.tensor(np.ones((2, 3)))
    with pytest.raises(ValueError, match="flatten: start_dim must be between -2 and 1, got 2"):
        F.flatten(x, 2)
    with pytest.raises(ValueError, match="flatten: end_dim must be between -2 and 1, got -3"):
        F.flatten(x, 0, -3)
    with pytest.raises(ValueError, match="flatten: start_dim=1 comes after end_dim=0"):
        F.flatten(x, 1, 0)
    for f in (lambda x: F.reshape(x, (1,)), F.flatten):
        with pytest.raises(TypeError, match=r"reshape: input must be a tinynet.Tensor, got list"):
            f([1.0])
