"""Variance over some or all axes.

Forward.   m = 1/n * sum_i x_i
           y = 1/(n - c) * sum_i (x_i - m)^2        c: the correction; 1 is Bessel's

Backward.  x_i reaches y directly and through m. The second path contributes nothing: dy/dm is a
multiple of sum_i (x_i - m), which is 0 because m is the mean. That leaves

    dx_i = dy * 2 * (x_i - m) / (n - c)

Saved: x, which usually exists anyway, and m, which is small; x - m would be one more large array.
"""

from tinynet.autograd import Function, Tensor
from tinynet.ops.dims import flag, normalize_axes, number, require_floating
from tinynet.ops.mean import count
from tinynet.ops.pairwise_sum import pairwise_sum
from tinynet.ops.sum import expand


class Var(Function):
    arguments = ("input",)

    def __init__(self, dim, correction, keepdim):
        self.dim, self.keepdim = dim, flag("var", "keepdim", keepdim)
        self.correction = number("var", "correction", correction)

    def forward(self, x):
        require_floating("var", "input", x)
        self.axes = normalize_axes("var", self.dim, x.ndim)
        n = count(x.shape, self.axes)
        self.n = n - self.correction
        if self.n <= 0:
            raise ValueError(
                f"var: input of shape {x.shape} has {n} elements along dim={self.dim}; "
                f"correction={self.correction} needs more"
            )
        m = pairwise_sum(x, self.axes, keepdims=True) / n
        self.save(x, m)
        squares = x - m
        squares *= squares
        return pairwise_sum(squares, self.axes, self.keepdim) / self.n

    def backward(self, dy):
        x, m = self.saved
        dx = x - m
        dx *= expand(dy * (2 / self.n), x.shape, self.axes)
        return dx


def var(input, dim=None, correction=1, keepdim=False):
    """The variance over the axes `dim` (an int or several; None: all), kept with length 1 if keepdim.

    The sum of squares is divided by n - correction; correction=0 is the biased variance. Raises
    ValueError if input lacks an axis or n <= correction, TypeError if input is not floating.
    """
    return Var(dim, correction, keepdim)(input)


Tensor.var = var
