"""Concatenate: arrays end to end along an axis.

Forward.   y = x_1, x_2, ... end to end along `dim`

Backward.  Each input gets the part of dy that corresponds to it:

    dx_k = the k-th section of dy along `dim`

The sections are views of dy. Only their bounds are saved.
"""

import itertools

from tinynet.autograd import Function
from tinynet.backend import array_module
from tinynet.ops.dims import check_tensors, normalize_axis


class Concatenate(Function):
    def __init__(self, dim):
        self.dim = dim

    def forward(self, *xs):
        first = xs[0]
        axis = normalize_axis("concatenate", "dim", self.dim, first.ndim)
        for k, x in enumerate(xs):
            if x.dtype != first.dtype:
                raise TypeError(f"concatenate: input 0 is {first.dtype} but input {k} is {x.dtype}")
            if x.ndim != first.ndim or shape_without(x, axis) != shape_without(first, axis):
                raise ValueError(
                    f"concatenate: input 0 has shape {first.shape} but input {k} {x.shape}: "
                    f"only the lengths along dim={self.dim} may differ"
                )
        edges = list(itertools.accumulate([x.shape[axis] for x in xs], initial=0))
        self.sections = [(*[slice(None)] * axis, slice(*edge)) for edge in itertools.pairwise(edges)]
        return array_module(first).concatenate(xs, axis=axis)

    def backward(self, dy):
        return tuple([dy[section] for section in self.sections])


def shape_without(x, axis):
    """x's shape without the given axis."""
    return x.shape[:axis] + x.shape[axis + 1 :]


def concatenate(tensors, dim=0):
    """The tensors end to end along the axis dim: (2, C) and (3, C) -> (5, C).

    Raises ValueError if there are none or their shapes differ along another axis, TypeError if their
    dtypes differ.
    """
    return Concatenate(dim)(*check_tensors("concatenate", tensors))
