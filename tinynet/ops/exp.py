"""Exponential.

Forward.   y = e^x

Backward.  The exponential is its own slope:

    dx = dy * y

Saved: y, not x.
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
    """e to the power of input, elementwise. input: any shape. Raises TypeError if it is not floating."""
    return Exp()(input)


Tensor.exp = exp
