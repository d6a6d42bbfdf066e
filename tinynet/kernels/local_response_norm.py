"""Local response normalization on a GPU: the maths is in ops/local_response_norm.py, the kernels in the .cu file."""

import math

import numpy as np

from tinynet.backend import array_module
from tinynet.kernels.loader import ceil_div, check, kernel

WALK = np.dtype([(name, np.int32) for name in ("N", "C", "HW", "group", "runs", "length")])  # struct Walk of the .cu
THREADS = 256
ENOUGH = 2**18  # threads that keep a large GPU busy
SHORTEST = 8  # windows; a shorter run would load too many of its neighbors' channels


def local_response_norm(x, size, alpha, beta, k, groups):
    """x: (N, C, H, W) -> y, of the same shape. size is odd, and alpha is divided by it."""
    (x,) = check("local_response_norm", x=x)
    y = array_module(x).empty(x.shape, x.dtype)
    launch("forward", x, size, beta, groups, (x, y), (alpha / size, beta, k))
    return y


def local_response_norm_backward(dy, x, size, alpha, beta, k, groups):
    """dy and x: (N, C, H, W) -> dx."""
    dy, x = check("local_response_norm", dy=dy, x=x)
    dx = array_module(x).empty(x.shape, x.dtype)
    launch("backward", x, size, beta, groups, (dy, x, dx), (alpha / size, beta, k, 2 * alpha / size * beta))
    return dx


def launch(name, x, size, beta, groups, arrays, numbers):
    if not x.size:
        return
    N, C, *image = x.shape
    group, HW = C // groups, math.prod(image)
    size = min(size, 2 * group - 1)  # such a window reaches all channels of its group from any of them
    wanted = ceil_div(ENOUGH, N * HW * groups)
    length = min(max(ceil_div(group, wanted), SHORTEST * size), group)
    runs = ceil_div(group, length)
    walk = np.array((N, C, HW, group, runs, length), WALK)
    defines = {"SIZE": size} | ({"THREE_QUARTERS": 1} if beta == 0.75 else {})
    grid = ceil_div(groups * runs * N * HW, THREADS)
    numbers = [x.dtype.type(number) for number in numbers]
    f = kernel(x, "local_response_norm", f"local_response_norm_{name}", **defines)
    f((grid,), (THREADS,), (*arrays, walk, *numbers))
