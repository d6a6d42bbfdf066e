"""Mean over some axes, or all.

Forward.   y = 1/n * sum_i x_i         n: the number of elements behind each y

Backward.  Each x_i enters with slope 1/n:

    dx_i = dy / n   for every i

The division comes before the copies are laid out: dy has n times fewer elements than x. Nothing
needs saving but x's shape.
"""

import math

from tinynet.autograd import Function, Tensor
from tinynet.ops.dims import normalize_axes, require_floating
from tinynet.ops.sum import spread


class Mean(Function):
    arguments = ("input",)

    def __init__(self, dim, keepdim):
        self.dim, self.keepdim = dim, keepdim

    def forward(self, x):
        require_floating("mean", "input", x)
        self.shape, self.axes = x.shape, normalize_axes("mean", self.dim, x.ndim)
        self.n = count(x.shape, self.axes) or math.nan  # nothing has no mean: nan
        return x.sum(axis=self.axes, keepdims=self.keepdim) / self.n

    def backward(self, dy):
        return spread(dy / self.n, self.shape, self.axes)


def count(shape, axes):
    """How many elements a reduction over `axes` puts into one."""
    return math.prod([shape[axis] for axis in axes])


def mean(input, dim=None, keepdim=False):
    """The mean over the axes `dim` (an int or several; None: all), kept with length 1 if keepdim.

    input: floating, else TypeError. An axis that input has not: ValueError.
    """
    return Mean(dim, keepdim)(input)


Tensor.mean = mean
