"""Absolute value.

Forward.   y = |x|

Backward.  The slope is 1 to the right of 0 and -1 to the left. At 0 it is undefined; like PyTorch
we take the value halfway between, 0:

    dx = dy * sign(x)

Saved: x, because y has lost the sign.
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
    """|input|, elementwise. input: any shape."""
    return Abs()(input)


Tensor.abs = abs
Tensor.__abs__ = abs
