import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinynet
from compare import assert_same_as_torch

MASK = np.array([[True, False, True], [False, False, True]])
CASES = [
    ((4,), 1),
    ((4,), -1),
    ((4,), np.int64(2)),
    ((4,), slice(1, 3)),
    ((4,), slice(None, None, 2)),
    ((4,), slice(3, 1)),
    ((4,), None),
    ((4,), ...),
    ((), ()),
    ((), None),
    ((), ...),
    ((2, 3, 4), (0, 1, 2)),
    ((2, 3, 4), (0, ..., slice(None, 2))),
    ((2, 3, 4), (slice(None), None, 1)),
    ((2, 3, 4), (..., 0)),
    ((4,), [0, 0, 3]),
    ((4,), []),
    ((4,), np.array([2, 2, 2, -2])),
    ((4,), np.array([[0, 1], [1, 3]])),
    ((2, 3, 4), [1, 1]),
    ((2, 3, 4), ([0, 1, 0], [2, 2, 2])),
    ((2, 3, 4), (slice(None), [0, 0], slice(1, 3))),
    ((2, 3, 4), (slice(None), 0, [1, 1, 2])),
    ((2, 3, 4), ([[0], [1]], [0, 2])),
    ((2, 3), MASK),
    ((2, 3, 4), MASK),
    ((2, 3), MASK & False),
    ((2, 3), (slice(None), np.array([True, False, True]))),
    ((2, 3), (np.array([True, True]), [0, 0])),
    ((2, 3), [True, False]),
    ((0, 3), (slice(None), 1)),
]


def for_torch(torch, part):
    if isinstance(part, tuple):
        return tuple(for_torch(torch, p) for p in part)
    if isinstance(part, list):
        part = np.array(part, int if not part else None)
    return torch.tensor(part) if isinstance(part, np.ndarray) else part


@pytest.mark.parametrize(("shape", "index"), CASES)
def test_same_as_torch(torch, rng, dtype, device, shape, index):
    x, theirs = np.asarray(rng.standard_normal(shape)), for_torch(torch, index)
    assert_same_as_torch(torch, lambda x: x[index], lambda x: x[theirs], [x], dtype, device)


def test_numpy_where_pytorch_differs(rng):
    """A number separated from an array counts as an array; PyTorch would give the transpose."""
    x = tinynet.tensor(rng.standard_normal((2, 3, 4)), requires_grad=True)
    index = (0, slice(None), [1, 1])
    np.testing.assert_array_equal(x[index].numpy(), x.numpy()[index])
    assert x[index].shape == (2, 3)
    assert tinynet.gradcheck(lambda x: x[index], x)


def test_negative_steps(rng):
    """NumPy has them, PyTorch does not."""
    x = tinynet.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    np.testing.assert_array_equal(x[::-1, ::-2].numpy(), x.numpy()[::-1, ::-2])
    assert tinynet.gradcheck(lambda x: x[::-1, ::-2], x)


@pytest.mark.parametrize("index", [index for shape, index in CASES if shape == (2, 3, 4)])
def test_gradcheck(rng, index):
    x = tinynet.tensor(rng.standard_normal((2, 3, 4)), requires_grad=True)
    assert tinynet.gradcheck(lambda x: x[index], x)


def test_an_element_read_twice_gets_both_gradients(device):
    x = tinynet.tensor([1.0, 2.0, 3.0], requires_grad=True, device=device)
    x[[0, 2, 0]].backward([1.0, 10.0, 100.0])
    assert x.grad.tolist() == [101, 0, 10]


def test_reference(rng):
    x, rows, columns = rng.standard_normal((3, 4)), [2, 0, 2], [1, 1, 3]
    t = tinynet.tensor(x, requires_grad=True)
    y, dy, dx = t[rows, columns], rng.standard_normal(3), np.zeros((3, 4))
    y.backward(dy)
    for j, (row, column) in enumerate(zip(rows, columns, strict=True)):
        assert y.numpy()[j] == x[row, column]
        dx[row, column] += dy[j]
    np.testing.assert_allclose(t.grad, dx, rtol=1e-14)


@st.composite
def shape_and_index(draw):
    shape = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    index = []
    for n in shape[: draw(st.integers(0, len(shape)))]:
        inside = st.integers(-n, n - 1)
        ends = st.none() | st.integers(-n - 1, n + 1)
        slices = st.builds(slice, ends, ends, st.sampled_from([None, 1, 2, -1]))
        index.append(draw(inside | slices | st.lists(inside, min_size=2, max_size=2)))
    if draw(st.booleans()):
        index.insert(draw(st.integers(0, len(index))), draw(st.sampled_from([None, ...])))
    return shape, tuple(index)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(shape_and_index())
def test_forward_is_numpy_and_backward_its_transpose(case):
    """sum(v * x[index]) = sum(dx * x) for every x, as reading elements is linear."""
    shape, index = case
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    t = tinynet.tensor(x, requires_grad=True)
    y = t[index]
    np.testing.assert_array_equal(y.numpy(), x[index])
    v = rng.standard_normal(y.shape)
    y.backward(v)
    u = rng.standard_normal(shape)
    np.testing.assert_allclose((v * u[index]).sum(), (t.grad * u).sum(), atol=1e-12)


def test_tensors_as_indices(device):
    x = tinynet.tensor([1.0, 2.0, 3.0], device=device)
    assert x[tinynet.tensor([2, 0], device=device)].numpy().tolist() == [3, 1]
    assert x[x > 1.5].numpy().tolist() == [2, 3]


def test_the_index_may_change_before_backward():
    x, index = tinynet.tensor([1.0, 2.0, 3.0], requires_grad=True), np.array([0, 1])
    y = x[index]
    index[:] = 2
    y.backward([1.0, 1.0])
    assert x.grad.tolist() == [1, 1, 0]


def test_integers_and_bool_are_indexed():
    assert tinynet.tensor([1, 2, 3])[1:].numpy().tolist() == [2, 3]
    assert tinynet.tensor([True, False])[0].item() is True


def test_iteration():
    rows = list(tinynet.tensor(np.arange(6.0).reshape(2, 3)))
    assert [row.numpy().tolist() for row in rows] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(TypeError, match="no axes"):
        iter(tinynet.tensor(1.0))


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (2, IndexError, r"getitem: input has shape \(2, 3\): index 2 is out of bounds"),
        ((0, -4), IndexError, r"getitem: input has shape \(2, 3\): index -4 is out of bounds"),
        ((0, 0, 0), IndexError, r"getitem: input has shape \(2, 3\): too many indices"),
        ([0, 5], IndexError, r"getitem: input has shape \(2, 3\): index 5 is out of bounds"),
        (([0, 1], [0, 1, 2]), IndexError, r"getitem: input has shape \(2, 3\): shape mismatch"),
        (np.ones(3, bool), IndexError, r"getitem: input has shape \(2, 3\): boolean index did not"),
        (1.0, TypeError, "getitem: an index is made of integers, .* got float"),
        (True, TypeError, "getitem: an index is made of integers, .* got bool"),
        ("a", TypeError, "getitem: an index is made of integers, .* got str"),
        ([0.5], TypeError, "getitem: an index is made of integers, .* got float64"),
        (np.ones(2), TypeError, "getitem: an index is made of integers, .* got float64"),
    ],
)
def test_bad_index(index, error, message):
    with pytest.raises(error, match=message):
        tinynet.tensor(np.ones((2, 3)))[index]
