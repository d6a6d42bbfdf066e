"""Average-pooling on a GPU: the maths is in ops/avg_pool2d.py, the kernels in avg_pool2d.cu."""

import numpy as np

from tinynet.backend import array_module
from tinynet.kernels.loader import check, check_size, kernel
from tinynet.kernels.pool2d import grid_and_block, pooling


def avg_pool2d(x, windows, count_include_pad):
    """x: (N, C, H, W) -> y: (N, C, P, Q), the mean of each window. windows: a tinynet.windows.Windows."""
    (x,) = check("avg_pool2d", x=x)
    shape = *x.shape[:2], *windows.places(x.shape[2:])
    check_size("avg_pool2d", "y", shape)
    y = array_module(x).empty(shape, x.dtype)
    if y.size:
        args = x, y, pooling(x.shape, windows), np.int32(count_include_pad)
        kernel(x, "avg_pool2d", "avg_pool2d_forward")(*grid_and_block(y.shape), args)
    return y


def avg_pool2d_backward(dy, x_shape, windows, count_include_pad):
    """dy: (N, C, P, Q) -> dx: x_shape = (N, C, H, W). Each pixel gets dy / count from every window that covers it."""
    (dy,) = check("avg_pool2d", dy=dy)
    check_size("avg_pool2d", "x", x_shape)
    dx = array_module(dy).empty(x_shape, dy.dtype)
    if dx.size:
        args = dy, dx, pooling(x_shape, windows), np.int32(count_include_pad)
        kernel(dy, "avg_pool2d", "avg_pool2d_backward")(*grid_and_block(dx.shape), args)
    return dx
