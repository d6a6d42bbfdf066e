"""Rectified linear unit (Nair & Hinton, 2010; Krizhevsky et al., 2012, section 3.1).

Forward.   y = max(x, 0)

Write dy for dL/dy and dx for dL/dx, where L is the single number that the computation ends in.

Backward.  The slope is 1 where x > 0 and 0 where x < 0. At x = 0 it is undefined, and any value
between the two will do; like everyone else we take 0:

    dx = dy   where y > 0,   0 elsewhere

Saved: y, not x. y > 0 exactly where x > 0, so the output is enough. If the next layer saves its input
(as a convolution or LRN does), that is y again, and ReLU costs no memory.
"""

from tinynet import kernels
from tinynet.autograd import FLOATS, Function
from tinynet.backend import array_module, elementwise, gate, on_gpu
from tinynet.ops.dims import refuse_bool


class Relu(Function):
    arguments = ("input",)

    def forward(self, x):  # x: any shape
        refuse_bool("relu", "input is", x)
        if on_gpu(x) and x.dtype in FLOATS:
            y = kernels.relu(x)
        else:
            xp = array_module(x)
            y = elementwise(lambda y, x: xp.maximum(x, 0, out=y), x)
        self.save(y)
        return y

    def backward(self, dy):
        (y,) = self.saved
        if on_gpu(y):
            return kernels.relu_backward(dy, y)
        return elementwise(lambda dx, dy, y: gate(dx, dy, y > 0), dy, y)


def relu(input):
    """max(input, 0), elementwise. input: any shape."""
    return Relu()(input)
