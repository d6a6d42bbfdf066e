"""Clip (clamp): limit every element to lie between two bounds.

Forward.   y = min(max(x, low), high)

Backward.  Between the bounds y equals x; beyond them y is constant. At a bound the slope is undefined;
like PyTorch we let the gradient pass:

    dx = dy   where low <= x <= high,   0 elsewhere

Saved: only whether x was inside. One byte per element, a quarter of x.
"""

from tinynet.autograd import FLOATS, Function, Tensor
from tinynet.backend import array_module, elementwise
from tinynet.ops.dims import check_fits, operand, refuse_bool


class Clip(Function):
    arguments = ("input",)

    def __init__(self, low, high):
        self.low, self.high = low, high

    def forward(self, x):
        refuse_bool("clip", "input is", x)
        xp, low, high = array_module(x), self.low, self.high
        for argument, bound in (("min", low), ("max", high)):
            if isinstance(bound, float) and x.dtype not in FLOATS:
                raise TypeError(f"clip: {argument} is {bound}, but input holds {x.dtype}")
            if bound is not None:
                check_fits("clip", argument, bound, x.dtype)
        if self.needs_backward:
            inside = True if low is None else x >= low
            self.save(inside if high is None else inside & (x <= high))

        def raise_and_lower(y, x):
            if low is not None:
                x = xp.maximum(x, low, out=y)
            if high is not None:
                xp.minimum(x, high, out=y)

        return elementwise(raise_and_lower, x)

    def backward(self, dy):
        (inside,) = self.saved
        xp = array_module(dy)
        return xp.where(inside, dy, xp.zeros((), dy.dtype))  # dy * inside: inf * 0 would be nan


def clip(input, min=None, max=None):
    """input, raised to min where it is less and lowered to max where it is more.

    input: any shape. min, max: numbers, or None for no bound. If min > max, every element becomes max.
    Raises ValueError if both are None, TypeError if input holds integers and a bound is a float.
    """
    if min is None and max is None:
        raise ValueError("clip: give min, max or both")
    min = None if min is None else operand("clip", "min", min)
    max = None if max is None else operand("clip", "max", max)
    return Clip(min, max)(input)


Tensor.clip = clip
