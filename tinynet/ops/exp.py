"""Exponential.

Forward.   y = e^x

Backward.  The exponential is its own slope:

    dx = dy * y

so y is saved, and not x.
"""

from tinynet.autograd import Function, Tensor
from tinynet.backend import array_module, elementwise
from tinynet.ops.dims import require_floating


class Exp(Function):
    arguments = ("input",)

    def forward(self, x):
        require_floating("exp", "input", x)
        xp = array_module(x)
        y = elementwise(lambda y, x: xp.exp(x, out=y), x)
        self.save(y)
        return y

    def backward(self, dy):
        (y,) = self.saved
        return dy * y


def exp(input):
    """e to the power of input, element by element. input: any shape; floating, else TypeError."""
    return Exp()(input)


Tensor.exp = exp
