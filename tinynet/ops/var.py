"""Variance over some axes, or all.

Forward.   m = 1/n * sum_i x_i
           y = 1/(n - c) * sum_i (x_i - m)^2        c: the correction, 1 for Bessel's

Backward.  x_i reaches y directly and through m. The second road carries nothing: dy/dm is a
multiple of sum_i (x_i - m), and that is 0, since m is the mean. What remains is

    dx_i = dy * 2 * (x_i - m) / (n - c)

x is saved, which a layer mostly keeps anyway, and m, which is small; x - m would be an array of its
own.
"""

from tinynet.autograd import Function, Tensor
from tinynet.ops.dims import normalize_axes, number, require_floating
from tinynet.ops.mean import count
from tinynet.ops.sum import spread


class Var(Function):
    arguments = ("input",)

    def __init__(self, dim, correction, keepdim):
        self.dim, self.keepdim = dim, keepdim
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
        m = x.sum(axis=self.axes, keepdims=True) / n
        self.save(x, m)
        away = x - m
        away *= away
        return away.sum(axis=self.axes, keepdims=self.keepdim) / self.n

    def backward(self, dy):
        x, m = self.saved
        dx = x - m
        dx *= spread(dy * (2 / self.n), x.shape, self.axes)
        return dx


def var(input, dim=None, correction=1, keepdim=False):
    """The variance over the axes `dim` (an int or several; None: all), kept as 1 if keepdim.

    The squares are divided by n - correction; correction=0 is the biased variance. input: floating,
    else TypeError. An axis that input has not, or n not above the correction: ValueError.
    """
    return Var(dim, correction, keepdim)(input)


Tensor.var = var
