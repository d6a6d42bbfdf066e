import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

CASES = [
    ((), ()),
    ((3,), (1, 2)),
    ((2, 3), ()),
    ((2, 3), (0, 0)),
    ((2, 3), (1, 0)),
    ((2, 3), (1, 2, 3, 0)),
    ((2, 3, 4, 5), (2, 1, 0, 3)),
    ((2, 3), [1, 1]),
    ((0, 3), (1, 1, 2, 0)),
    ((0,), (0, 0)),
]


@pytest.mark.parametrize("value", [0.0, -1.5, 2])
@pytest.mark.parametrize(("shape", "pad"), CASES)
def test_same_as_torch(torch, rng, dtype, device, shape, pad, value):
    def theirs(x):
        return torch.nn.functional.pad(x, list(pad), value=value)

    x = np.asarray(rng.standard_normal(shape))
    assert_same_as_torch(torch, lambda x: F.pad(x, pad, value=value), theirs, [x], dtype, device)


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=3), st.data())
def test_the_middle_is_x_and_the_rest_value(shape, data):
    axes = data.draw(st.integers(0, len(shape)))
    pad = data.draw(st.lists(st.integers(0, 2), min_size=2 * axes, max_size=2 * axes))
    x = np.random.default_rng(0).standard_normal(shape)
    t = tinynet.tensor(x, requires_grad=True)
    y = F.pad(t, pad, value=7)
    widths = [(0, 0)] * (len(shape) - axes) + list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    np.testing.assert_array_equal(y.numpy(), np.pad(x, widths, constant_values=7))
    y.backward(y.numpy())
    np.testing.assert_array_equal(t.grad, x)


def test_gradcheck(rng):
    x = tinynet.tensor(rng.standard_normal((2, 3)), requires_grad=True)
    assert tinynet.gradcheck(lambda x: F.pad(x, (1, 0, 2, 1), value=3), x)


def test_reference(rng):
    x = rng.standard_normal((2, 3))
    y = F.pad(tinynet.tensor(x), (1, 2, 0, 1), value=-1).numpy()
    assert y.shape == (3, 6)
    for i, j in np.ndindex(y.shape):
        assert y[i, j] == (x[i, j - 1] if i < 2 and 1 <= j < 4 else -1)


def test_integers():
    y = F.pad(tinynet.tensor([1, 2]), (1, 1))
    assert y.dtype == np.int64
    assert y.numpy().tolist() == [0, 1, 2, 0]
    with pytest.raises(TypeError, match=r"pad: value is 0.5, but input holds int64"):
        F.pad(tinynet.tensor([1, 2]), (1, 1), value=0.5)
    with pytest.raises(TypeError, match="pad: value is inf, but input holds int64"):
        F.pad(tinynet.tensor([1, 2]), (1, 1), value=float("inf"))


def test_bad_arguments():
    x = tinynet.tensor(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"pad: pad must hold pairs .* or more, got \(-1, 0\)"):
        F.pad(x, (-1, 0))
    with pytest.raises(ValueError, match=r"pad: pad must hold pairs .* got \(1, 1, 1\)"):
        F.pad(x, (1, 1, 1))
    with pytest.raises(ValueError, match=r"pad: input of shape \(2, 3\) has 2 axes, too few for"):
        F.pad(x, (1,) * 6)
    with pytest.raises(ValueError, match="pad: mode must be 'constant', got 'reflect'"):
        F.pad(x, (1, 1), mode="reflect")
    with pytest.raises(TypeError, match="pad: pad must be a tuple of integers, got 1"):
        F.pad(x, 1)
    with pytest.raises(TypeError, match=r"pad: pad must be a tuple of integers, got \(1.0, 1\)"):
        F.pad(x, (1.0, 1))
    with pytest.raises(TypeError, match="pad: value must be a number, got str"):
        F.pad(x, (1, 1), value="0")
    with pytest.raises(TypeError, match=r"pad: input must be a tinynet.Tensor, got ndarray"):
        F.pad(np.ones(3), (1, 1))
