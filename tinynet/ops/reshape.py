"""Reshape: the same elements in the same order under another shape.

Forward.   y[j] = x[i] where i and j have the same place in row-major order

Backward.  Every dy goes back to where its element came from:

    dx = dy in x's shape

Nothing needs saving but that shape. Forward mostly moves no data: y is a view of x's memory.
"""

import math

import numpy as np

from tinynet.autograd import Function, Tensor
from tinynet.ops.dims import one_dim


class Reshape(Function):
    arguments = ("input",)

    def __init__(self, shape):
        self.to = shape

    def forward(self, x):
        self.shape = x.shape
        return x.reshape(complete(self.to, x))

    def backward(self, dy):
        return dy.reshape(self.shape)


def complete(shape, x):
    """`shape` with its -1, if there is one, replaced by the length that x's size leaves."""
    if not all([isinstance(n, int | np.integer) and n >= -1 for n in shape]):
        raise ValueError(f"reshape: shape must hold lengths, one of them perhaps -1, got {shape}")
    if shape.count(-1) > 1:
        raise ValueError(f"reshape: only one length may be -1, got {shape}")
    if -1 not in shape and math.prod(shape) == x.size:
        return shape
    rest = math.prod([n for n in shape if n != -1])
    if -1 in shape and rest and x.size % rest == 0:
        return tuple([x.size // rest if n == -1 else n for n in shape])
    raise ValueError(
        f"reshape: input of shape {x.shape} has {x.size} elements, which do not fill shape {shape}"
    )


def reshape(input, shape):
    """input under a new shape of as many elements; -1 for one length that follows from the rest.

    ValueError if the elements do not fill the shape.
    """
    return Reshape(tuple(shape) if isinstance(shape, tuple | list) else (shape,))(input)


def flatten(input, start_dim=0, end_dim=-1):
    """The axes start_dim to end_dim, both included, as one. A tensor of no axes gets one.

    (N, C, H, W) with start_dim=1 -> (N, C * H * W)
    """
    if not isinstance(input, Tensor) or input.ndim == 0:
        return reshape(input, (1,))
    start = one_dim("flatten", "start_dim", start_dim, input.ndim)
    end = one_dim("flatten", "end_dim", end_dim, input.ndim)
    if start > end:
        raise ValueError(f"flatten: start_dim={start_dim} comes after end_dim={end_dim}")
    shape = input.shape
    return reshape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def reshape_method(self, *shape):
    """x.reshape(2, 3) or x.reshape((2, 3)); see functional.reshape."""
    return reshape(self, shape[0] if len(shape) == 1 else shape)


Tensor.reshape = reshape_method
Tensor.flatten = flatten
