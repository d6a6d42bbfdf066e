"""Sum over some axes, or all.

Forward.   y = sum_i x_i

Backward.  Each x_i enters the sum once, with slope 1:

    dx_i = dy   for every i

The sum is the transpose of broadcasting: forward adds up, backward copies out. The copies are not
made: `broadcast_to` shows one dy n times. Nothing needs saving but x's shape.
"""

from tinynet.autograd import FLOATS, Function, Tensor
from tinynet.backend import array_module
from tinynet.ops.dims import kept, normalize_axes


class Sum(Function):
    arguments = ("input",)

    def __init__(self, dim, keepdim):
        self.dim, self.keepdim = dim, keepdim

    def forward(self, x):
        self.shape, self.axes = x.shape, normalize_axes("sum", self.dim, x.ndim)
        dtype = x.dtype if x.dtype in FLOATS else "int64"  # small integers soon overflow
        return x.sum(axis=self.axes, dtype=dtype, keepdims=self.keepdim)

    def backward(self, dy):
        return spread(dy, self.shape, self.axes)


def spread(dy, shape, axes):
    """dy, reduced over `axes` with keepdim or without, shown at every place of `shape`."""
    return array_module(dy).broadcast_to(dy.reshape(kept(shape, axes)), shape)


def sum(input, dim=None, keepdim=False):
    """The sum over the axes `dim` (an int or several; None: all), kept with length 1 if keepdim.

    Integers and bool give int64. An axis that input has not: ValueError.
    """
    return Sum(dim, keepdim)(input)


Tensor.sum = sum
