"""Indexing: x[index], by numbers, slices, None, ..., integer arrays and masks.

Forward.   y_j = x_{i(j)}        i(j): the element of x that the index selects j-th

Backward.  Every dy goes back to the element it was read from; elements not read get 0:

    dx_i = sum_{j : i(j) = i} dy_j

The sum matters where an element is read several times, as in x[[0, 0, 1]]. Only integer arrays can
do that, so only they pay for it: `dx[index] += dy` would add to a repeated element once, `add.at`
adds every time. Slices and masks read no element twice, so assigning is enough.

The index has NumPy's meaning, even where PyTorch differs: in x[0, :, [1, 2]] the number counts as an
array, and the axis that the arrays make comes first.

Only the index is saved, not x.
"""

import numpy as np

from tinynet.autograd import Function, Tensor, plain_array
from tinynet.backend import array_module, device_of, to_device


class Getitem(Function):
    arguments = ("input",)

    def __init__(self, index):
        self.index = index

    def forward(self, x):
        self.shape = x.shape
        self.index = tuple([checked(p, x) for p in self.index])
        try:
            return x[self.index]
        except IndexError as error:
            raise IndexError(f"getitem: input has shape {x.shape}: {error}") from None

    def backward(self, dy):
        xp = array_module(dy)
        dx = xp.zeros(self.shape, dy.dtype)
        if any(hasattr(p, "dtype") and p.dtype != bool for p in self.index):  # an integer array
            xp.add.at(dx, self.index, dy)
        else:
            dx[self.index] = dy
        return dx


def checked(p, x):
    """One part of an index, checked; arrays are copied, so that nobody changes them before backward."""
    if isinstance(p, np.integer):
        return int(p)
    if p is None or p is Ellipsis or isinstance(p, slice) or type(p) is int:
        return p
    if isinstance(p, Tensor):
        p = p.data
    if isinstance(p, list):
        p = np.array(p) if p else np.array(p, int)
    if getattr(p, "dtype", None) is None or p.dtype.kind not in "iub":
        got = getattr(p, "dtype", type(p).__name__)
        raise TypeError(
            "getitem: an index is made of integers, slices, None, ... and arrays of integers or "
            f"bool, got {got}"
        )
    return to_device(plain_array("getitem: an index", p).copy(), device_of(x))


def getitem(self, index):
    """self[index], as in NumPy: a number drops its axis, None adds one, an array selects elements.

    Raises IndexError if the index is out of bounds, TypeError if it is not an index.
    """
    return Getitem(index if isinstance(index, tuple) else (index,))(self)


def iterate(self):
    """Iterate over the first axis of self."""
    return (self[i] for i in range(len(self)))


Tensor.__getitem__ = getitem
Tensor.__iter__ = iterate
