"""Max-pooling on a GPU: the maths is in ops/max_pool2d.py, the kernels in max_pool2d.cu."""

import numpy as np

from tinynet.backend import array_module, device_of
from tinynet.kernels.loader import check, check_size, kernel
from tinynet.kernels.pool2d import grid_and_block, pooling


def max_pool2d(x, windows, want_winner):
    """x: (N, C, H, W) -> (y, winner), both (N, C, P, Q): the maximum of each window, and its index there.

    windows: a tinynet.windows.Windows. winner: uint8, or int32 if windows have more than 256 elements; None
    if it is not wanted.
    """
    (x,) = check("max_pool2d", x=x)
    xp, shape = array_module(x), (*x.shape[:2], *windows.places(x.shape[2:]))
    check_size("max_pool2d", "y", shape)
    y = xp.empty(shape, x.dtype)
    winner = xp.empty(shape, winner_dtype(windows)) if want_winner else None
    if y.size:
        launch("forward", windows, y, x, y, winner, pooling(x.shape, windows))
    return y, winner


def max_pool2d_backward(dy, winner, x_shape, windows):
    """dy and winner: (N, C, P, Q) -> dx: x_shape = (N, C, H, W). Each window's dy goes to the pixel that won."""
    (dy,) = check("max_pool2d", dy=dy)
    expected = winner_dtype(windows), dy.shape, device_of(dy)
    if (winner.dtype, winner.shape, device_of(winner)) != expected:
        raise ValueError(
            f"max_pool2d: winner must be {expected[0]} {expected[1]} on {expected[2]}, as dy is; "
            f"got {winner.dtype} {winner.shape} on {device_of(winner)}"
        )
    check_size("max_pool2d", "x", x_shape)
    xp = array_module(dy)
    winner, dx = xp.ascontiguousarray(winner), xp.empty(x_shape, dy.dtype)
    if dx.size:
        launch("backward", windows, dx, dy, winner, dx, pooling(x_shape, windows))
    return dx


def winner_dtype(windows):
    R, S = windows.kernel
    return np.dtype(np.uint8 if R * S <= 256 else np.int32)


def launch(name, windows, result, *args):
    wide = {} if winner_dtype(windows) == np.uint8 else {"WINNER": "int"}
    kernel(result, "max_pool2d", f"max_pool2d_{name}", **wide)(*grid_and_block(result.shape), args)
