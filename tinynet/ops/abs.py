"""Absolute value.

Forward.   y = |x|

Backward.  The slope is 1 right of 0 and -1 left of it. At 0 there is none, and we take the value
half way, 0:

    dx = dy * sign(x)

x is saved: y has lost the sign.
"""

from tinynet.autograd import Function, Tensor
from tinynet.backend import array_module


class Abs(Function):
    arguments = ("input",)

    def forward(self, x):
        self.save(x)
        return array_module(x).abs(x)

    def backward(self, dy):
        (x,) = self.saved
        return dy * array_module(x).sign(x)


def abs(input):
    """|input|, element by element. input: any shape."""
    return Abs()(input)


Tensor.abs = abs
Tensor.__abs__ = abs
