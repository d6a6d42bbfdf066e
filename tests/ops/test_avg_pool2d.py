import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

# N, C, H, W, then the arguments
GRID = [
    ((2, 3, 13, 13), dict(kernel_size=3, stride=2)),
    ((1, 2, 6, 8), dict(kernel_size=2)),
    ((2, 2, 7, 9), dict(kernel_size=(3, 2), stride=(2, 3), padding=(1, 0))),
    ((1, 1, 1, 1), dict(kernel_size=1)),
    ((2, 1, 8, 8), dict(kernel_size=3, stride=2, padding=1, ceil_mode=True)),
    ((1, 2, 6, 6), dict(kernel_size=2, stride=3, ceil_mode=True)),
    ((1, 2, 7, 7), dict(kernel_size=4, stride=3, padding=2, ceil_mode=True)),
    ((0, 2, 5, 5), dict(kernel_size=2)),
    ((8, 3, 30, 31), dict(kernel_size=(5, 4), stride=(3, 2), padding=(2, 1))),
]


def both(torch, how):
    theirs = torch.nn.functional.avg_pool2d
    return lambda x: F.avg_pool2d(x, **how), lambda x: theirs(x, **how)


@pytest.mark.parametrize("shape, how", GRID)
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_same_as_torch(torch, rng, dtype, device, shape, how, count_include_pad):
    how = how | dict(count_include_pad=count_include_pad)
    assert_same_as_torch(torch, *both(torch, how), [rng.standard_normal(shape)], dtype, device)


def test_a_window_that_sees_infinity_does_not_spoil_the_others():
    x = np.ones((1, 1, 4, 4))
    x[0, 0, 0, 0] = np.inf
    y = F.avg_pool2d(tinynet.tensor(x), 2).numpy()
    assert y.tolist() == [[[[np.inf, 1], [1, 1]]]]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_shapes_same_as_torch(torch, data):
    draw = data.draw
    two = lambda least, most: draw(st.tuples(*[st.integers(least, most)] * 2))  # noqa: E731
    (H, W), kernel, stride = two(1, 12), two(1, 5), two(1, 4)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    for size, k, pad in zip((H, W), kernel, padding, strict=True):
        assume(size + 2 * pad >= k)
    how = dict(
        kernel_size=kernel,
        stride=stride,
        padding=padding,
        ceil_mode=draw(st.booleans()),
        count_include_pad=draw(st.booleans()),
    )
    x = np.random.default_rng(0).standard_normal((draw(st.integers(1, 3)), 2, H, W))
    assert_same_as_torch(torch, *both(torch, how), [x], np.dtype("float64"))


@pytest.mark.parametrize("shape, how", GRID[:7])
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_gradcheck(rng, shape, how, count_include_pad):
    x = tinynet.tensor(rng.standard_normal((1, *shape[1:])), requires_grad=True)
    how = how | dict(count_include_pad=count_include_pad)
    assert tinynet.gradcheck(lambda x: F.avg_pool2d(x, **how), x)


@pytest.mark.parametrize("count_include_pad", [True, False])
def test_loops(rng, count_include_pad):
    x, dy = rng.standard_normal((2, 2, 5, 6)), rng.standard_normal((2, 2, 3, 3))
    tensor = tinynet.tensor(x, requires_grad=True)
    y = F.avg_pool2d(tensor, 3, 2, padding=1, count_include_pad=count_include_pad)
    y.backward(dy)
    expected_dx = np.zeros_like(x)
    for n, c, p, q in np.ndindex(y.shape):
        window = [(2 * p + r - 1, 2 * q + s - 1) for r in range(3) for s in range(3)]
        inside = [(h, w) for h, w in window if 0 <= h < 5 and 0 <= w < 6]
        count = 9 if count_include_pad else len(inside)
        assert np.isclose(y.numpy()[n, c, p, q], sum(x[n, c, h, w] for h, w in inside) / count)
        for h, w in inside:
            expected_dx[n, c, h, w] += dy[n, c, p, q] / count
    np.testing.assert_allclose(tensor.grad, expected_dx, rtol=1e-12)


def test_bad_input_is_named():
    x = tinynet.tensor(np.zeros((1, 1, 4, 4)))
    message = r"avg_pool2d: a window of .5, 5. does not fit into an image of .4, 4."
    with pytest.raises(ValueError, match=message):
        F.avg_pool2d(x, 5)
    message = r"avg_pool2d: padding .2, 2. is more than half of a window of .3, 3."
    with pytest.raises(ValueError, match=message):
        F.avg_pool2d(x, 3, padding=2)
    message = r"avg_pool2d: kernel_size must be an integer of at least 1"
    with pytest.raises(ValueError, match=message):
        F.avg_pool2d(x, 0)
    with pytest.raises(ValueError, match=r"avg_pool2d: stride must be an integer of at least 1"):
        F.avg_pool2d(x, 2, 0)
    message = r"avg_pool2d: input must be \(N, C, H, W\), got shape \(4,\)"
    with pytest.raises(ValueError, match=message):
        F.avg_pool2d(tinynet.tensor(np.zeros(4)), 2)
