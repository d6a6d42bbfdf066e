"""Mean over some or all axes.

Forward.   y = 1/n * sum_i x_i         n: how many elements each y is the mean of

Backward.  Each x_i enters with slope 1/n:

    dx_i = dy / n   for every i

We divide before expanding dy to x's shape, while it has n times fewer elements. Only x's shape is
saved.
"""

import math

from tinynet.autograd import Function, Tensor
from tinynet.ops.dims import flag, normalize_axes, require_floating
from tinynet.ops.pairwise_sum import pairwise_sum
from tinynet.ops.sum import expand


class Mean(Function):
    arguments = ("input",)

    def __init__(self, dim, keepdim):
        self.dim, self.keepdim = dim, flag(self.name, "keepdim", keepdim)

    def forward(self, x):
        require_floating("mean", "input", x)
        self.shape, self.axes = x.shape, normalize_axes("mean", self.dim, x.ndim)
        self.n = count(x.shape, self.axes) or math.nan  # the mean of no elements is nan
        return pairwise_sum(x, self.axes, self.keepdim) / self.n

    def backward(self, dy):
        return expand(dy / self.n, self.shape, self.axes)


def count(shape, axes):
    """How many elements a reduction over `axes` combines into one."""
    return math.prod([shape[axis] for axis in axes])


def mean(input, dim=None, keepdim=False):
    """The mean over the axes `dim` (an int or several; None: all), kept with length 1 if keepdim.

    Raises ValueError if input lacks an axis, TypeError if it is not floating.
    """
    return Mean(dim, keepdim)(input)


Tensor.mean = mean
