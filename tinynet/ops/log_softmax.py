"""The logarithm of softmax, without a detour through probabilities that may round to 0.

Forward, along one axis.   y_i = log(e^(x_i) / sum_j e^(x_j)) = x_i - log sum_j e^(x_j)

As in softmax, the largest x is subtracted first, which changes nothing but keeps e^x from
overflowing. A probability of e^-1000 rounds to 0 in any float; its logarithm, -1000, is exact.

Backward.  The slope of log sum_j e^(x_j) in x_j is e^(x_j) / sum = softmax(x)_j = e^(y_j), so

    dy_i/dx_j = [i = j] - e^(y_j)

    dx_j = dy_j - e^(y_j) * sum_i dy_i

Saved: the output alone; the probabilities are one exponential away.
"""

from tinynet.autograd import Function
from tinynet.backend import array_module
from tinynet.ops.dims import normalize_axis, require_floating
from tinynet.ops.pairwise_sum import pairwise_sum


class LogSoftmax(Function):
    arguments = ("input",)

    def __init__(self, dim):
        self.dim = dim

    def forward(self, x):  # x: any shape
        require_floating("log_softmax", "input", x)
        self.axis = normalize_axis("log_softmax", "dim", self.dim, x.ndim)
        y = log_probabilities(x, self.axis)
        self.save(y)
        return y

    def backward(self, dy):
        (y,) = self.saved
        dx = array_module(y).exp(y)
        dx *= -pairwise_sum(dy, (self.axis,), keepdims=True)
        dx += dy
        return dx


def log_probabilities(x, axis):
    """log_softmax on a plain array."""
    if x.size == 0:
        return x.copy()  # no elements have no maximum
    xp = array_module(x)
    y = x - x.max(axis, keepdims=True)
    y -= xp.log(pairwise_sum(xp.exp(y), (axis,), keepdims=True))
    return y


def log_softmax(input, dim):
    """log(softmax(input, dim)), accurate even where softmax rounds to 0 or 1. input: any shape with an axis.

    Raises ValueError if input lacks the axis, TypeError if it is not floating.
    """
    return LogSoftmax(dim)(input)
