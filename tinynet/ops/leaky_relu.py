"""Leaky rectified linear unit (Maas et al., 2013): a ReLU with a small slope below 0.

Forward.   y = x          where x > 0
           y = a * x      elsewhere         (a is negative_slope, 0.01)

Backward.  The slope of each half is its factor. At x = 0 it is undefined; like PyTorch we take a:

    dx = dy                where x > 0
    dx = a * dy            elsewhere

Saved: with a >= 0 the output is positive exactly where the input is, so as in ReLU we save y, which the
next layer keeps anyway. With a < 0 the sign of y says nothing about x, and x is saved.
"""

from tinynet.autograd import Function
from tinynet.backend import array_module, elementwise
from tinynet.ops.dims import number, require_floating


class LeakyRelu(Function):
    arguments = ("input",)

    def __init__(self, negative_slope):
        self.negative_slope = negative_slope

    def forward(self, x):  # x: any shape
        require_floating("leaky_relu", "input", x)
        y = self.scale(x, x)
        self.save(y if self.negative_slope >= 0 else x)
        return y

    def backward(self, dy):
        (side,) = self.saved
        return self.scale(dy, side)

    def scale(self, a, side):
        """a where side > 0, a * negative_slope elsewhere: serves both passes."""
        xp = array_module(a)
        factors = xp.asarray([self.negative_slope, 1], a.dtype)  # indexed by side > 0

        def body(out, a, side):
            xp.multiply(a, factors.take((side > 0).view(xp.uint8)), out=out)

        return elementwise(body, a, side)


def leaky_relu(input, negative_slope=0.01):
    """input where it is positive, negative_slope * input elsewhere.

    input: any shape. Raises TypeError if it is not floating.
    """
    return LeakyRelu(number("leaky_relu", "negative_slope", negative_slope))(input)
