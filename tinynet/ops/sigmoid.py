"""Logistic sigmoid: squashes any number into (0, 1).

Forward.   y = 1 / (1 + e^-x)

e^-x overflows for large negative x. With z = e^-|x|, which lies in (0, 1] and cannot,

    y = 1 / (1 + z)   where x >= 0,       y = z / (1 + z)   elsewhere  (the same, times e^x / e^x)

and tiny values of y keep all their digits.

Backward.  dy/dx = e^-x / (1 + e^-x)^2 = [1 / (1 + e^-x)] * [e^-x / (1 + e^-x)] = y * (1 - y), so

    dx = dy * y * (1 - y)

y * (1 - y) is at most 1/4: each sigmoid on the way back shrinks the cotangent to a quarter or less,
which is why deep networks moved on to ReLU.

Saved: the output alone.
"""

from tinynet.autograd import Function
from tinynet.backend import array_module, elementwise
from tinynet.ops.dims import require_floating


class Sigmoid(Function):
    arguments = ("input",)

    def forward(self, x):  # x: any shape
        require_floating("sigmoid", "input", x)
        xp = array_module(x)

        def body(y, x):
            z = xp.exp(-xp.abs(x))
            y[...] = xp.maximum(z, x >= 0)  # the numerator: 1, or z where x < 0
            y /= 1 + z

        y = elementwise(body, x)
        self.save(y)
        return y

    def backward(self, dy):
        xp = array_module(dy)
        (y,) = self.saved
        return elementwise(lambda dx, dy, y: xp.multiply(dy, y * (1 - y), out=dx), dy, y)


def sigmoid(input):
    """1 / (1 + e^-input), elementwise. input: any shape. Raises TypeError if it is not floating."""
    return Sigmoid()(input)
