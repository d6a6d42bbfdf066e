"""Arrays joined along an axis, concatenate and stack, and divided again, split."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

# (name, shapes, dim)
JOINED = [
    ("concatenate", [(3,)], 0),
    ("concatenate", [(3,), (2,), (4,)], 0),
    ("concatenate", [(2, 3), (1, 3)], 0),
    ("concatenate", [(2, 3), (2, 1), (2, 4)], 1),
    ("concatenate", [(2, 3), (2, 3)], -1),
    ("concatenate", [(2, 1, 3), (2, 5, 3)], -2),
    ("concatenate", [(0, 3), (2, 3)], 0),
    ("concatenate", [(2, 0), (2, 0)], 1),
    ("stack", [()] * 3, 0),
    ("stack", [(3,)], 0),
    ("stack", [(2, 3)] * 2, 0),
    ("stack", [(2, 3)] * 4, 1),
    ("stack", [(2, 3)] * 2, 2),
    ("stack", [(2, 3)] * 2, -1),
    ("stack", [(2, 3)] * 3, -3),
    ("stack", [(0, 3)] * 2, 1),
]


@pytest.mark.parametrize("name, shapes, dim", JOINED, ids=str)
def test_joined_same_as_torch(torch, rng, dtype, device, name, shapes, dim):
    xs = [np.asarray(rng.standard_normal(s)) for s in shapes]
    ours, theirs = getattr(F, name), getattr(torch, name)
    assert_same_as_torch(torch, lambda *xs: ours(xs, dim), lambda *xs: theirs(xs, dim), xs, dtype, device)


def test_one_tensor_twice(torch, rng, dtype, device):
    def theirs(x):
        return torch.concatenate([x, x])

    x = rng.standard_normal((2, 3))
    assert_same_as_torch(torch, lambda x: F.concatenate([x, x]), theirs, [x], dtype, device)


@pytest.mark.parametrize("name, shapes", [("concatenate", [(2, 1), (2, 3), (2, 2)]), ("stack", [(2, 3)] * 3)])
def test_joined_gradcheck(rng, name, shapes):
    xs = [tinynet.tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]
    assert tinynet.gradcheck(lambda *xs: getattr(F, name)(xs, 1), xs)


def test_concatenate_loops(rng):
    x, z = rng.standard_normal((2, 3)), rng.standard_normal((2, 2))
    y = F.concatenate((tinynet.tensor(x), tinynet.tensor(z)), 1).numpy()
    assert y.shape == (2, 5)
    for i, j in np.ndindex(y.shape):
        assert y[i, j] == (x[i, j] if j < 3 else z[i, j - 3])


def test_stack_loops(rng):
    xs = [rng.standard_normal((2, 3)) for _ in range(4)]
    y = F.stack([tinynet.tensor(x) for x in xs], 1).numpy()
    assert y.shape == (2, 4, 3)
    for i, k, j in np.ndindex(y.shape):
        assert y[i, k, j] == xs[k][i, j]


def test_gradients_have_their_own_memory():
    x, z = (tinynet.tensor(np.ones(2), requires_grad=True) for _ in range(2))
    F.concatenate((x, z)).backward(np.ones(4))
    x.grad[:] = 5
    assert z.grad.tolist() == [1, 1]


X = tinynet.tensor(np.ones((2, 3)))


@pytest.mark.parametrize(
    "name, tensors, dim, error, message",
    [
        (
            "concatenate", (X, tinynet.tensor(np.ones((2, 4)))), 0, ValueError,
            r"input 0 has shape \(2, 3\) but input 1 \(2, 4\): only the lengths along dim=0",
        ),
        (
            "concatenate", (X, tinynet.tensor(np.ones(3))), 0, ValueError,
            r"input 0 has shape \(2, 3\) but input 1 \(3,\)",
        ),
        ("concatenate", (), 0, ValueError, "tensors is empty"),
        ("concatenate", (X, X), 2, ValueError, "dim must be between -2 and 1, got 2"),
        ("concatenate", (tinynet.tensor(1.0),), 0, ValueError, r"dim is 0, .* shape \(\) has no axes"),
        ("concatenate", (X, tinynet.tensor([[1]])), 0, TypeError, "input 0 is float64 but input 1 is int64"),
        ("concatenate", (X, np.ones((2, 3))), 0, TypeError, r"tensors\[1\] must be a tinynet.Tensor, got ndarray"),
        (
            "stack", (X, tinynet.tensor(np.ones((1, 3)))), 0, ValueError,
            r"input 0 has shape \(2, 3\) but input 1 \(1, 3\)",
        ),
        ("stack", [], 0, ValueError, "tensors is empty"),
        ("stack", (X, X), 3, ValueError, "dim must be between -3 and 2, got 3"),
        ("stack", (X, X > 0), 0, TypeError, "input 0 is float64 but input 1 is bool"),
        ("stack", (1.0, 2.0), 0, TypeError, r"tensors\[0\] must be a tinynet.Tensor, got float"),
    ],
)
def test_bad_tensors(name, tensors, dim, error, message):
    with pytest.raises(error, match=f"^{name}: {message}"):
        getattr(F, name)(tensors, dim)


# ---------------------------------------------------------------------------- split


@pytest.mark.parametrize(
    "shape, size, dim",
    [
        ((6,), 2, 0),
        ((7,), 3, 0),
        ((2,), 5, 0),
        ((6,), [1, 2, 3], 0),
        ((6,), [0, 6, 0], 0),
        ((2, 6), (4, 2), 1),
        ((2, 6), 4, -1),
        ((6, 2), 2, -2),
        ((0, 2), 2, 0),
        ((0, 2), [0, 0], 0),
        ((2, 0), 1, 0),
    ],
)
def test_split_same_as_torch(torch, rng, dtype, device, shape, size, dim):
    def theirs(x):
        return torch.split(x, list(size) if isinstance(size, tuple) else size, dim)

    x = rng.standard_normal(shape)
    parts = F.split(tinynet.tensor(x, device=device), size, dim)
    assert isinstance(parts, tuple)
    assert [p.shape for p in parts] == [tuple(t.shape) for t in theirs(torch.tensor(x))]

    def part(k, split):  # the other parts send nothing back
        return lambda x: split(x)[k]

    for k in range(len(parts)):
        ours = part(k, lambda x: F.split(x, size, dim))
        assert_same_as_torch(torch, ours, part(k, theirs), [x], dtype, device)

    def weighted(split, concatenate):
        return lambda x: concatenate([p * (k + 2) for k, p in enumerate(split(x))], dim)

    ours = weighted(lambda x: x.split(size, dim), F.concatenate)
    assert_same_as_torch(torch, ours, weighted(theirs, torch.concatenate), [x], dtype, device)


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(0, 2))
def test_concatenate_undoes_split(sizes, axis):
    shape = [2, 2, 2]
    shape[axis] = sum(sizes)
    x = tinynet.tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=True)
    parts = F.split(x, sizes, axis)
    assert [p.shape[axis] for p in parts] == sizes
    y = F.concatenate(parts, axis)
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    v = np.random.default_rng(1).standard_normal(shape)
    y.backward(v)
    np.testing.assert_array_equal(x.grad, v)


def test_split_gradcheck(rng):
    x = tinynet.tensor(rng.standard_normal((2, 5)), requires_grad=True)

    def used(x):
        first, _, last = F.split(x, [2, 1, 2], 1)
        return first * last

    assert tinynet.gradcheck(used, x)


def test_split_loops(rng):
    x = rng.standard_normal((2, 5))
    first, second = F.split(tinynet.tensor(x), 3, 1)
    for i, j in np.ndindex(x.shape):
        assert (first.numpy()[i, j] if j < 3 else second.numpy()[i, j - 3]) == x[i, j]


def test_split_integers():
    parts = F.split(tinynet.tensor([1, 2, 3]), 2)
    assert [p.numpy().tolist() for p in parts] == [[1, 2], [3]]
    assert not any(p.requires_grad for p in parts)


@pytest.mark.parametrize(
    "x, size, dim, error, message",
    [
        (X, [1, 1], 1, ValueError, r"split_size \[1, 1\] must add up to the length 3"),
        (X, [4, -1], 1, ValueError, r"split_size \[4, -1\] must add up"),
        (tinynet.tensor(np.ones(0)), [], 0, ValueError, r"split_size \[\] must add up"),
        (X, 0, 0, ValueError, "split_size must be at least 1, got 0"),
        (X, 1, 2, ValueError, "dim must be between -2 and 1, got 2"),
        (X, 1.5, 0, TypeError, r"split_size must be an integer or .* got 1\.5"),
        (np.ones(3), 1, 0, TypeError, r"tensor must be a tinynet.Tensor, got ndarray"),
    ],
)
def test_bad_splits(x, size, dim, error, message):
    with pytest.raises(error, match=f"^split: {message}"):
        F.split(x, size, dim)
