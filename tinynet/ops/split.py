"""Split: divide an array into sections along an axis.

Forward.   y_1, y_2, ... = the sections of x along `dim`

Backward.  The sections' cotangents are concatenated; autograd passes zeros for a section not used:

    dx = dy_1, dy_2, ... end to end along `dim`

So split is concatenate's transpose, and vice versa. The sections are views of x. No array is saved.
"""

import itertools

from tinynet.autograd import Function, Tensor
from tinynet.backend import array_module
from tinynet.ops.dims import is_integer, normalize_axis, shown


class Split(Function):
    arguments = ("tensor",)

    def __init__(self, split_size, dim):
        self.split_size, self.dim = split_size, dim

    def forward(self, x):
        self.axis = normalize_axis("split", "dim", self.dim, x.ndim)
        edges = section_edges(self.split_size, x.shape[self.axis])
        before = (slice(None),) * self.axis
        return tuple([x[(*before, slice(*edge))] for edge in itertools.pairwise(edges)])

    def backward(self, *dys):
        return array_module(dys[0]).concatenate(dys, axis=self.axis)


def section_edges(split_size, n):
    """Where the sections of range(n) begin, and n. split_size: the length of all but the last, or a list."""
    sizes = split_size if isinstance(split_size, tuple | list) else (split_size,)
    if not all(map(is_integer, sizes)):
        raise TypeError(f"split: split_size must be an integer or a list of them, got {shown(split_size)}")
    if sizes is not split_size:
        if split_size < 1:
            raise ValueError(f"split: split_size must be at least 1, got {split_size}")
        return [*range(0, n or 1, split_size), n]
    if not sizes or any(size < 0 for size in sizes) or sum(sizes) != n:
        raise ValueError(f"split: split_size {split_size} must add up to the length {n} along dim")
    return list(itertools.accumulate(sizes, initial=0))


def split(tensor, split_size, dim=0):
    """A tuple of the sections of tensor along the axis dim: (5, C) with split_size=2 -> (2, C), (2, C), (1, C).

    split_size: the length of every section (the last may be shorter), or a list of lengths. Raises
    ValueError if the lengths do not add up to the axis's or a single one is below 1.
    """
    return Split(split_size, dim)(tensor)


Tensor.split = split
