"""Natural logarithm.

Forward.   y = log(x)

Backward.  dx = dy / x

Saved: x, because recovering it from y would take an exponential and lose digits.
"""

from tinynet.autograd import Function, Tensor
from tinynet.backend import array_module, elementwise
from tinynet.ops.dims import require_floating


class Log(Function):
    arguments = ("input",)

    def forward(self, x):
        require_floating("log", "input", x)
        xp = array_module(x)
        self.save(x)
        return elementwise(lambda y, x: xp.log(x, out=y), x)

    def backward(self, dy):
        (x,) = self.saved
        return dy / x


def log(input):
    """The natural logarithm, elementwise. input: any shape. Raises TypeError if it is not floating."""
    return Log()(input)


Tensor.log = log
