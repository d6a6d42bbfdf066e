"""Split: cut an array into parts along an axis.

Forward.   y_1, y_2, ... = the stretches of x along `dim`

Backward.  The parts' cotangents are joined as x was cut; a part that nobody used has sent zeros:

    dx = dy_1, dy_2, ... joined along `dim`

So split is concatenate's transpose, and the other way round. The parts are views of x. Nothing is
saved.
"""

import itertools

import numpy as np

from tinynet.autograd import Function, Tensor
from tinynet.backend import array_module
from tinynet.ops.dims import one_dim


class Split(Function):
    arguments = ("tensor",)

    def __init__(self, split_size, dim):
        self.split_size, self.dim = split_size, dim

    def forward(self, x):
        self.axis = one_dim("split", "dim", self.dim, x.ndim)
        edges = cuts(self.split_size, x.shape[self.axis])
        before = (slice(None),) * self.axis
        return tuple([x[(*before, slice(*edge))] for edge in itertools.pairwise(edges)])

    def backward(self, *dys):
        return array_module(dys[0]).concatenate(dys, axis=self.axis)


def cuts(split_size, n):
    """Where the parts of range(n) begin, and n: parts of one size (but the last) or of several."""
    sizes = split_size if isinstance(split_size, tuple | list) else (split_size,)
    if not all(isinstance(size, int | np.integer) for size in sizes):
        raise TypeError(f"split: split_size must be an integer or several, got {split_size!r}")
    if sizes is not split_size:
        if split_size < 1:
            raise ValueError(f"split: split_size must be at least 1, got {split_size}")
        return [*range(0, n or 1, split_size), n]
    if not sizes or any(size < 0 for size in sizes) or sum(sizes) != n:
        raise ValueError(f"split: split_size {split_size} must add up to the length {n} along dim")
    return list(itertools.accumulate(sizes, initial=0))


def split(tensor, split_size, dim=0):
    """A tuple of parts of tensor along the axis dim.

    split_size: the length of every part (the last may be shorter), or a list of lengths, which
    must add up to the axis. Anything else: ValueError.
    """
    return Split(split_size, dim)(tensor)


Tensor.split = split
