"""Sum over some or all axes.

Forward.   y = sum_i x_i

Backward.  Each x_i enters the sum once, with slope 1:

    dx_i = dy   for every i

The sum is the transpose of broadcasting: forward adds up, backward broadcasts. `broadcast_to` makes
no copies: it returns a view that repeats dy. Only x's shape is saved.
"""

from tinynet.autograd import FLOATS, Function, Tensor
from tinynet.backend import array_module
from tinynet.ops.dims import flag, keepdim_shape, normalize_axes
from tinynet.ops.pairwise_sum import pairwise_sum


class Sum(Function):
    arguments = ("input",)

    def __init__(self, dim, keepdim):
        self.dim, self.keepdim = dim, flag(self.name, "keepdim", keepdim)

    def forward(self, x):
        self.shape, self.axes = x.shape, normalize_axes("sum", self.dim, x.ndim)
        if x.dtype in FLOATS:
            return pairwise_sum(x, self.axes, self.keepdim)
        return x.sum(axis=self.axes, dtype="int64", keepdims=self.keepdim)  # small integers would overflow

    def backward(self, dy):
        return expand(dy, self.shape, self.axes)


def expand(dy, shape, axes):
    """dy, of a result reduced over `axes` with or without keepdim, broadcast back to `shape`: a view."""
    return array_module(dy).broadcast_to(dy.reshape(keepdim_shape(shape, axes)), shape)


def sum(input, dim=None, keepdim=False):
    """The sum over the axes `dim` (an int or several; None: all), kept with length 1 if keepdim.

    Integers and bool give int64. Raises ValueError if input lacks an axis.
    """
    return Sum(dim, keepdim)(input)


Tensor.sum = sum
