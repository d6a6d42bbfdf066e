"""The logarithm of softmax, without the detour through probabilities that round to 0.

Forward, along one axis.   y_i = log(e^(x_i) / sum_j e^(x_j)) = x_i - log sum_j e^(x_j)

As in softmax the largest x is subtracted first, which changes nothing but keeps e^x from
overflowing. A probability of e^-1000 is 0 in any float; its logarithm, -1000, is exact.

Backward.  The slope of log sum_j e^(x_j) in x_j is e^(x_j) / sum = softmax(x)_j = e^(y_j), so

    dy_i/dx_j = [i = j] - e^(y_j)

    dx_j = dy_j - e^(y_j) * sum_i dy_i

The output alone is saved; the probabilities are one e^ away.
"""

from tinynet.autograd import Function
from tinynet.backend import array_module
from tinynet.ops.dims import one_dim, require_floating


class LogSoftmax(Function):
    arguments = ("input",)

    def __init__(self, dim):
        self.dim = dim

    def forward(self, x):  # x: any shape
        require_floating("log_softmax", "input", x)
        self.axis = one_dim("log_softmax", "dim", self.dim, x.ndim)
        y = log_probabilities(x, self.axis)
        self.save(y)
        return y

    def backward(self, dy):
        (y,) = self.saved
        dx = array_module(y).exp(y)
        dx *= -dy.sum(self.axis, keepdims=True)
        dx += dy
        return dx


def log_probabilities(x, axis):
    """log_softmax on a plain array."""
    if x.size == 0:
        return x.copy()  # nothing has no maximum
    xp = array_module(x)
    y = x - x.max(axis, keepdims=True)
    y -= xp.log(xp.exp(y).sum(axis, keepdims=True))
    return y


def log_softmax(input, dim):
    """log(softmax(input, dim)), accurate where softmax is 0 or 1. input: floating, with an axis.

    Raises ValueError if input has no axis `dim`, TypeError if it is not floating.
    """
    return LogSoftmax(dim)(input)
