"""Hyperbolic tangent: squashes any number into (-1, 1).

Forward.   y = tanh(x) = sinh(x) / cosh(x)

Backward.  By the quotient rule, with sinh' = cosh and cosh' = sinh,

    dy/dx = (cosh(x)^2 - sinh(x)^2) / cosh(x)^2 = 1 - tanh(x)^2,   so   dx = dy * (1 - y^2)

Saved: the output alone.
"""

from tinynet.autograd import Function
from tinynet.backend import array_module, elementwise
from tinynet.ops.dims import require_floating


class Tanh(Function):
    arguments = ("input",)

    def forward(self, x):  # x: any shape
        require_floating("tanh", "input", x)
        xp = array_module(x)
        y = elementwise(lambda y, x: xp.tanh(x, out=y), x)
        self.save(y)
        return y

    def backward(self, dy):
        xp = array_module(dy)
        (y,) = self.saved
        return elementwise(lambda dx, dy, y: xp.multiply(dy, 1 - y * y, out=dx), dy, y)


def tanh(input):
    """tanh(input), elementwise. input: any shape. Raises TypeError if it is not floating."""
    return Tanh()(input)
