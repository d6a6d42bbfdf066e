"""Softmax: turns scores into probabilities, which are positive and sum to 1.

Forward, along one axis.   y_i = e^(x_i) / sum_j e^(x_j)

e^x overflows beyond x = 88 in float32. Adding a constant to every x_j changes nothing (it multiplies
numerator and denominator alike), so we subtract the largest x_j: then no exponent is positive, and
the sum is at least 1.

Backward.  Every y_i depends on every x_j, through the shared sum:

    dy_i/dx_j = y_i * [i = j] - y_i * y_j

    dx_j = sum_i dy_i * dy_i/dx_j = y_j * (dy_j - sum_i dy_i * y_i)

The sum is one number along the axis: how fast the loss would rise if all of y grew in proportion, which
the normalization rules out. Saved: the output alone.
"""

from tinynet.autograd import Function
from tinynet.backend import array_module
from tinynet.ops.dims import normalize_axis, require_floating
from tinynet.ops.pairwise_sum import pairwise_sum


class Softmax(Function):
    arguments = ("input",)

    def __init__(self, dim):
        self.dim = dim

    def forward(self, x):  # x: any shape
        require_floating("softmax", "input", x)
        self.axis = normalize_axis("softmax", "dim", self.dim, x.ndim)
        y = probabilities(x, self.axis)
        self.save(y)
        return y

    def backward(self, dy):
        (y,) = self.saved
        dx = dy - pairwise_sum(dy * y, (self.axis,), keepdims=True)
        dx *= y
        return dx


def probabilities(x, axis):
    """softmax on a plain array."""
    if x.size == 0:
        return x.copy()  # no elements have no maximum
    y = x - x.max(axis, keepdims=True)
    array_module(x).exp(y, out=y)
    y /= pairwise_sum(y, (axis,), keepdims=True)
    return y


def softmax(input, dim):
    """e^input / sum of e^input along the axis `dim`. input: any shape with an axis.

    Raises ValueError if input lacks the axis, TypeError if it is not floating.
    """
    return Softmax(dim)(input)
