"""ReLU on a GPU: the maths is in ops/relu.py, the kernels in relu.cu."""

import numpy as np

from tinynet.backend import array_module
from tinynet.kernels.loader import ceil_div, check, kernel

THREADS, MAX_BLOCKS = 256, 4096


def relu(x):
    """max(x, 0), of any shape."""
    (x,) = check("relu", x=x)
    return launch("relu_forward", x)


def relu_backward(dy, y):
    """dy where y > 0, and 0 elsewhere. y: what relu returned."""
    y, dy = check("relu", y=y, dy=dy)
    return launch("relu_backward", y, dy)


def launch(name, x, *more):
    out = array_module(x).empty(x.shape, x.dtype)
    if x.size:
        blocks = min(ceil_div(x.size, THREADS), MAX_BLOCKS)
        kernel(x, "relu", name)((blocks,), (THREADS,), (x, *more, out, np.int32(x.size)))
    return out
