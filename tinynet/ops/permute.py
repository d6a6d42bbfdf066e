"""Permute: reorder the axes.

Forward.   axis k of y is axis dims[k] of x

Backward.  Every axis of dy returns to where it came from: axis dims[k] of dx is axis k of dy. That is
the inverse permutation, `inverse[dims[k]] = k`:

    dx = dy permuted by `inverse`

No data moves: y is a view of x's memory with reordered strides. No array is saved.
"""

from tinynet.autograd import Function, Tensor
from tinynet.ops.dims import normalize_axis, shown


class Permute(Function):
    arguments = ("input",)

    def __init__(self, dims):
        self.dims = dims

    def forward(self, x):
        axes = [normalize_axis("permute", "dims", d, x.ndim) for d in self.dims]
        if sorted(axes) != list(range(x.ndim)):
            raise ValueError(
                f"permute: dims must name each axis of shape {x.shape} once, got {self.dims}"
            )
        self.inverse = [axes.index(axis) for axis in range(x.ndim)]
        return x.transpose(axes)

    def backward(self, dy):
        return dy.transpose(self.inverse)


def permute(input, dims):
    """input with its axis dims[k] as axis k: (N, H, W, C) with dims=(0, 3, 1, 2) -> (N, C, H, W).

    Raises ValueError unless dims names every axis once.
    """
    if not isinstance(dims, tuple | list):
        raise TypeError(f"permute: dims must be a tuple of integers, got {shown(dims)}")
    return Permute(tuple(dims))(input)


def permute_method(self, *dims):
    """x.permute(1, 0) or x.permute((1, 0)); see functional.permute."""
    return permute(self, dims[0] if len(dims) == 1 and isinstance(dims[0], tuple | list) else dims)


Tensor.permute = permute_method
