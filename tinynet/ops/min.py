"""Minimum over some axes, or all.

Forward.   y = min_i x_i

Backward.  As for the maximum, read with x_i = y at the smallest element; see max.py:

    dx_i = dy / k if x_i = y, else 0        k: how many elements tie for the minimum
"""

from tinynet.autograd import Tensor
from tinynet.ops.max import Max


class Min(Max):
    def extreme(self, x):
        return x.min(axis=self.axes, keepdims=True)


def min(input, dim=None, keepdim=False):
    """The smallest element over the axes `dim` (an int or several; None: all), as torch.amin.

    keepdim keeps them with length 1. Only values come back, no indices. An axis that input has
    not, or has with length 0: ValueError.
    """
    return Min(dim, keepdim)(input)


Tensor.min = min
