import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

CASES = [
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
]


@pytest.mark.parametrize(("shape", "size", "dim"), CASES)
def test_same_as_torch(torch, rng, dtype, device, shape, size, dim):
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


def test_gradcheck(rng):
    x = tinynet.tensor(rng.standard_normal((2, 5)), requires_grad=True)

    def used(x):
        first, _, last = F.split(x, [2, 1, 2], 1)
        return first * last

    assert tinynet.gradcheck(used, x)


def test_reference(rng):
    x = rng.standard_normal((2, 5))
    first, second = F.split(tinynet.tensor(x), 3, 1)
    for i, j in np.ndindex(x.shape):
        assert (first.numpy()[i, j] if j < 3 else second.numpy()[i, j - 3]) == x[i, j]


def test_integers():
    parts = F.split(tinynet.tensor([1, 2, 3]), 2)
    assert [p.numpy().tolist() for p in parts] == [[1, 2], [3]]
    assert not any(p.requires_grad for p in parts)


def test_bad_arguments():
    x = tinynet.tensor(np.ones((2, 6)))
    with pytest.raises(ValueError, match=r"split: split_size \[1, 2\] must add up to the length 6"):
        F.split(x, [1, 2], 1)
    with pytest.raises(ValueError, match=r"split: split_size \[7, -1\] must add up"):
        F.split(x, [7, -1], 1)
    with pytest.raises(ValueError, match=r"split: split_size \[\] must add up"):
        F.split(tinynet.tensor(np.ones(0)), [])
    with pytest.raises(ValueError, match="split: split_size must be at least 1, got 0"):
        F.split(x, 0)
    with pytest.raises(ValueError, match="split: dim must be between -2 and 1, got 2"):
        F.split(x, 1, 2)
    with pytest.raises(TypeError, match=r"split: split_size must be an integer or .* got 1\.5"):
        F.split(x, 1.5)
    with pytest.raises(TypeError, match=r"split: tensor must be a tinynet.Tensor, got ndarray"):
        F.split(np.ones(3), 1)
