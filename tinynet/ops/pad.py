"""Pad: surround an array with a constant.

Forward.   y = x in the middle, `value` around it

Backward.  The padding does not depend on x, so its dy is dropped:

    dx = the middle of dy

Only the bounds of the middle are saved.
"""

from tinynet.autograd import FLOATS, Function
from tinynet.backend import array_module
from tinynet.ops.dims import check_fits, is_integer, operand, shown


class Pad(Function):
    arguments = ("input",)

    def __init__(self, pad, value):
        self.pad, self.value = pad, value

    def forward(self, x):
        if len(self.pad) > 2 * x.ndim:
            raise ValueError(
                f"pad: input of shape {x.shape} has {x.ndim} axes, too few for pad={self.pad}"
            )
        if x.dtype not in FLOATS and not float(self.value).is_integer():
            raise TypeError(f"pad: value is {self.value}, but input holds {x.dtype}")
        check_fits("pad", "value", self.value, x.dtype)
        widths = [(0, 0)] * x.ndim
        for axis in range(len(self.pad) // 2):  # from the last axis backwards
            widths[-1 - axis] = self.pad[2 * axis], self.pad[2 * axis + 1]
        shape = [a + n + b for n, (a, b) in zip(x.shape, widths, strict=True)]
        self.middle = tuple([slice(a, a + n) for n, (a, _) in zip(x.shape, widths, strict=True)])
        y = array_module(x).full(shape, self.value, x.dtype)
        y[self.middle] = x
        return y

    def backward(self, dy):
        return dy[self.middle]


def pad(input, pad, mode="constant", value=0.0):
    """input surrounded by `value`.

    pad: widths as (before, after) pairs, the last axis first: (left, right, top, bottom) pads the last
    two axes. Raises ValueError if mode is not "constant", or if pad has a negative width, an odd number
    of them or more pairs than input has axes; TypeError if input cannot hold value.
    """
    if not isinstance(mode, str) or mode != "constant":
        raise ValueError(f"pad: mode must be 'constant', got {shown(mode)}")
    pad = tuple(pad) if isinstance(pad, tuple | list) else pad
    if not isinstance(pad, tuple) or not all(map(is_integer, pad)):
        raise TypeError(f"pad: pad must be a tuple of integers, got {shown(pad)}")
    if len(pad) % 2 or any(n < 0 for n in pad):
        raise ValueError(f"pad: pad must hold pairs of widths of 0 or more, got {pad}")
    return Pad(pad, operand("pad", "value", value))(input)
