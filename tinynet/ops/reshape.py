"""Reshape: the same elements in the same order, in another shape.

Forward.   y[j] = x[i] where i and j have the same position in row-major order

Backward.  Every dy goes back to the element it belongs to:

    dx = dy in x's shape

Only that shape is saved. Usually no data moves: y is a view of x's memory.
"""

import math

from tinynet.autograd import Function, Tensor
from tinynet.ops.dims import check_tensor, is_integer, normalize_axis, shown


class Reshape(Function):
    arguments = ("input",)

    def __init__(self, shape):
        self.to = shape

    def forward(self, x):
        self.shape = x.shape
        return x.reshape(infer_shape(self.to, x))

    def backward(self, dy):
        return dy.reshape(self.shape)


def infer_shape(shape, x):
    """`shape` with -1, if it has one, replaced by the length that x's size implies."""
    if not all([is_integer(n) and n >= -1 for n in shape]):
        raise ValueError(f"reshape: shape must hold lengths, at most one of them -1, got {shown(shape)}")
    if shape.count(-1) > 1:
        raise ValueError(f"reshape: only one length may be -1, got {shape}")
    if -1 not in shape and math.prod(shape) == x.size:
        return shape
    rest = math.prod([n for n in shape if n != -1])
    if -1 in shape and rest and x.size % rest == 0:
        return tuple([x.size // rest if n == -1 else n for n in shape])
    raise ValueError(
        f"reshape: input of shape {x.shape} has {x.size} elements, which do not fill shape {shape}"
    )


def reshape(input, shape):
    """input in a new shape with as many elements; one length may be -1, to be inferred from the others.

    Raises ValueError if the elements do not fill the shape.
    """
    return Reshape(tuple(shape) if isinstance(shape, tuple | list) else (shape,))(input)


def flatten(input, start_dim=0, end_dim=-1):
    """Merge the axes start_dim to end_dim, inclusive: (N, C, H, W) with start_dim=1 -> (N, C * H * W).

    A 0-d tensor gets one axis. Raises ValueError if input lacks an axis or start_dim comes after end_dim.
    """
    check_tensor("flatten", "input", input)
    if input.ndim == 0:
        return reshape(input, (1,))
    start = normalize_axis("flatten", "start_dim", start_dim, input.ndim)
    end = normalize_axis("flatten", "end_dim", end_dim, input.ndim)
    if start > end:
        raise ValueError(f"flatten: start_dim={start_dim} comes after end_dim={end_dim}")
    shape = input.shape
    return reshape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def reshape_method(self, *shape):
    """x.reshape(2, 3) or x.reshape((2, 3)); see functional.reshape."""
    return reshape(self, shape[0] if len(shape) == 1 else shape)


Tensor.reshape = reshape_method
Tensor.flatten = flatten
