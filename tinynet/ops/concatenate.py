"""Concatenate: arrays one after the other along an axis.

Forward.   y = x_1, x_2, ... joined along `dim`

Backward.  Each input gets the part of dy that it became:

    dx_k = the k-th stretch of dy along `dim`

The parts are views of dy. Nothing is saved but where each begins.
"""

import itertools

from tinynet.autograd import Function
from tinynet.backend import array_module
from tinynet.ops.dims import one_dim


class Concatenate(Function):
    def __init__(self, dim):
        self.dim = dim

    def forward(self, *xs):
        first = xs[0]
        axis = one_dim("concatenate", "dim", self.dim, first.ndim)
        for k, x in enumerate(xs):
            if x.dtype != first.dtype:
                raise TypeError(f"concatenate: input 0 is {first.dtype} but input {k} is {x.dtype}")
            if x.ndim != first.ndim or rest(x, axis) != rest(first, axis):
                raise ValueError(
                    f"concatenate: input 0 has shape {first.shape} but input {k} {x.shape}: "
                    f"only the lengths along dim={self.dim} may differ"
                )
        edges = list(itertools.accumulate([x.shape[axis] for x in xs], initial=0))
        self.parts = [(*[slice(None)] * axis, slice(*edge)) for edge in itertools.pairwise(edges)]
        return array_module(first).concatenate(xs, axis=axis)

    def backward(self, dy):
        return tuple([dy[part] for part in self.parts])


def rest(x, axis):
    """x's shape without the given axis."""
    return x.shape[:axis] + x.shape[axis + 1 :]


def concatenate(tensors, dim=0):
    """The tensors joined along the axis dim. They may differ in length there, and only there.

    Other shapes, or no tensors: ValueError; different dtypes: TypeError.
    """
    tensors = tuple(tensors)
    if not tensors:
        raise ValueError("concatenate: tensors is empty")
    return Concatenate(dim)(*tensors)
