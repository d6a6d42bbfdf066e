"""max_pool2d.cu and avg_pool2d.cu against the NumPy paths: the same bits, since both sum in the same order."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kernel_checks import assert_results, fetch, many_examples, put, where_kernels_run
from tinynet import kernels
from tinynet.ops.avg_pool2d import AvgPool2d
from tinynet.ops.max_pool2d import pool, pool_backward
from tinynet.windows import Windows

pytestmark = where_kernels_run


def windows(kernel, stride=None, padding=(0, 0), dilation=(1, 1), ceil_mode=False):
    return Windows(kernel, stride or kernel, padding, dilation, ceil_mode)


ALEXNET = windows((3, 3), (2, 2))
GRID = [
    ((1, 96, 55, 55), ALEXNET),
    ((2, 256, 27, 27), ALEXNET),
    ((1, 256, 13, 13), ALEXNET),
    ((2, 3, 7, 9), windows((3, 2), (2, 3), (1, 0), (1, 2))),
    ((2, 1, 8, 8), windows((3, 3), (2, 2), (1, 1), ceil_mode=True)),
    ((1, 2, 7, 7), windows((4, 4), (4, 4), ceil_mode=True)),
    ((1, 2, 9, 9), windows((2, 2), (4, 5))),  # stride beyond the window: pixels that no window covers
    ((1, 1, 20, 20), windows((16, 16), (2, 2))),  # 256 elements: the largest index is 255
    ((1, 1, 40, 40), windows((17, 17), (5, 5))),  # more than 256 elements: an index needs more than a byte
    ((300, 7, 1, 1), windows((1, 1))),  # many planes of one pixel
    ((0, 2, 5, 5), windows((2, 2))),
    ((2, 0, 5, 5), windows((2, 2))),
]


def check_max_pool(device, x, how, seed=0):
    y, winner = pool(x, how, True)
    dy = np.random.default_rng(seed).standard_normal(y.shape).astype(x.dtype)
    dx = pool_backward(dy, winner, x.shape, how)
    x_there, dy_there = put(device, x, dy)
    got = kernels.max_pool2d(x_there, how, True)
    assert_results((*got, kernels.max_pool2d_backward(dy_there, got[1], x.shape, how)), (y, winner, dx))
    without, nothing = kernels.max_pool2d(x_there, how, False)
    assert nothing is None
    assert_results(without, [y])


def check_avg_pool(device, x, how, include_pad, seed=0):
    op = AvgPool2d(how, include_pad)
    y = op.forward(x)
    dy = np.random.default_rng(seed).standard_normal(y.shape).astype(x.dtype)
    x_there, dy_there = put(device, x, dy)
    got_dx = kernels.avg_pool2d_backward(dy_there, x.shape, how, include_pad)
    assert_results((kernels.avg_pool2d(x_there, how, include_pad), got_dx), (y, op.backward(dy)))


@pytest.mark.parametrize("shape, how", GRID)
@pytest.mark.parametrize("ties", [False, True])
def test_max_pool_same_as_numpy(rng, dtype, device, shape, how, ties):
    x = rng.integers(0, 3, shape) if ties else rng.standard_normal(shape)
    check_max_pool(device, x.astype(dtype), how)


@pytest.mark.parametrize("shape, how", [g for g in GRID if g[1].dilation == (1, 1)])
@pytest.mark.parametrize("include_pad", [False, True])
def test_avg_pool_same_as_numpy(rng, dtype, device, shape, how, include_pad):
    check_avg_pool(device, rng.standard_normal(shape).astype(dtype), how, include_pad)


@many_examples
@given(data=st.data())
def test_random_shapes_same_as_numpy(device, data):
    draw = data.draw
    two = lambda least, most: draw(st.tuples(*[st.integers(least, most)] * 2))  # noqa: E731
    image, kernel, stride, dilation = two(1, 12), two(1, 5), two(1, 7), two(1, 3)
    padding = tuple(draw(st.integers(0, ((k - 1) * step + 1) // 2)) for k, step in zip(kernel, dilation, strict=True))
    how = windows(kernel, stride, padding, dilation, draw(st.booleans()))
    assume(min(how.places(image)) >= 1 and not how.see_only_padding(image))
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 9)), *image
    x = np.random.default_rng(0).integers(0, 5, shape).astype("float32")
    check_max_pool(device, x, how)
    how = how._replace(dilation=(1, 1), padding=tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True)))
    assume(min(how.places(image)) >= 1)
    check_avg_pool(device, x + np.float32(0.1), how, draw(st.booleans()))


def test_minus_infinity_and_nan_as_in_numpy(rng, device):
    x = rng.choice(np.array([-np.inf, -1, 2, np.nan], "float32"), (3, 5, 12, 12), p=[0.7, 0.1, 0.1, 0.1])
    x[0] = -np.inf  # the padding is -inf too, but never wins
    how = windows((3, 3), (2, 2), (1, 1))
    assert np.isnan(pool(x, how, False)[0]).any()
    check_max_pool(device, x, how)
    winner = fetch(kernels.max_pool2d(*put(device, x[:1]), how, True))[1]
    assert winner[0, 0, :2, :2].tolist() == [[4, 3], [1, 0]]


def test_winners_of_the_wrong_dtype_or_shape_are_named(rng, device):
    x, dy = put(device, np.zeros((1, 1, 6, 6), "float32"), np.zeros((1, 1, 3, 3), "float32"))
    how = windows((2, 2))
    winner = kernels.max_pool2d(x, how, True)[1]
    with pytest.raises(ValueError, match=r"winner must be uint8 \(1, 1, 3, 3\).* got int32"):
        kernels.max_pool2d_backward(dy, winner.astype("int32"), x.shape, how)
    with pytest.raises(ValueError, match=r"winner must be .* got uint8 \(1, 1, 3, 2\)"):
        kernels.max_pool2d_backward(dy, winner[..., :2], x.shape, how)
