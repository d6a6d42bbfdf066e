"""Minimum over some or all axes.

Forward.   y = min_i x_i

Backward.  As for the maximum (see max.py), with x_i = y now at the smallest element:

    dx_i = dy / k if x_i = y, else 0        k: how many elements tie for the minimum
"""

from tinynet.autograd import Tensor
from tinynet.ops.max import Max


class Min(Max):
    def extreme(self, x):
        return x.min(axis=self.axes, keepdims=True)


def min(input, dim=None, keepdim=False):
    """The smallest element over the axes `dim` (an int or several; None: all), like torch.amin.

    keepdim keeps these axes, with length 1. Returns values only, no indices. Raises ValueError if
    input lacks an axis or there are no elements along it.
    """
    return Min(dim, keepdim)(input)


Tensor.min = min
