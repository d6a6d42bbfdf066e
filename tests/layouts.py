"""Arrays as views of other arrays, with the same values: what an op may be given instead of a contiguous array."""

import numpy as np

from tinynet.autograd import Function
from tinynet.backend import array_module


def inside(a, *steps):
    """A view with a's values into a larger array of NaNs, with the given step along each axis."""
    larger = array_module(a).full([n * abs(step) + 2 for n, step in zip(a.shape, steps, strict=True)], np.nan, a.dtype)
    view = larger[tuple(slice(1, 1 + n * abs(step), abs(step)) for n, step in zip(a.shape, steps, strict=True))]
    view = view[tuple(slice(None, None, -1 if step < 0 else 1) for step in steps)]
    view[...] = a
    return view


def transposed(a):
    return array_module(a).ascontiguousarray(a.T).T


def read_only(a):
    a = a.copy()
    if isinstance(a, np.ndarray):
        a.setflags(write=False)
    return a


LAYOUTS = {
    "strided": lambda a: inside(a, *[2] * a.ndim),
    "every other number": lambda a: a.repeat(2, axis=-1)[..., ::2],
    "last axis strided": lambda a: inside(a, *[1] * (a.ndim - 1), 2),
    "reversed": lambda a: inside(a, *[-1] * a.ndim),
    "all memory reversed": lambda a: a[(slice(None, None, -1),) * a.ndim].copy()[(slice(None, None, -1),) * a.ndim],
    "first axis reversed": lambda a: inside(a, -1, *[1] * (a.ndim - 1)),
    "transposed": transposed,
    "read-only": read_only,
}


class WithCotangent(Function):
    """y = x, whose dx is dy in another layout."""

    def __init__(self, layout):
        self.layout = layout

    def forward(self, x):
        return x.copy()

    def backward(self, dy):
        return self.layout(dy) if dy.ndim else dy.copy()
