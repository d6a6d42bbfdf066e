"""Square root.

Forward.   y = sqrt(x)

Backward.  y^2 = x, so 2 * y * (dy/dx) = 1 and

    dx = dy / (2 * y)

At x = 0 the curve is vertical: the slope is infinite, and so is dx. Saved: y, not x.
"""

from tinynet.autograd import Function, Tensor
from tinynet.backend import array_module, elementwise
from tinynet.ops.dims import require_floating


class Sqrt(Function):
    arguments = ("input",)

    def forward(self, x):
        require_floating("sqrt", "input", x)
        xp = array_module(x)
        y = elementwise(lambda y, x: xp.sqrt(x, out=y), x)
        self.save(y)
        return y

    def backward(self, dy):
        (y,) = self.saved
        return dy / (2 * y)


def sqrt(input):
    """The square root, elementwise. input: any shape. Raises TypeError if it is not floating."""
    return Sqrt()(input)


Tensor.sqrt = sqrt
