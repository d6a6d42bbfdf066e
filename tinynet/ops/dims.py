"""What many operations ask of their arguments: axes that exist, floating point, plain numbers."""

import numpy as np

from tinynet.autograd import FLOATS


def one_dim(op, argument, dim, ndim):
    """The axis `dim`, which may count from the end, as an int from 0 to ndim - 1."""
    if isinstance(dim, bool) or not isinstance(dim, int | np.integer):
        raise TypeError(f"{op}: {argument} must be an integer, got {type(dim).__name__}")
    if ndim == 0:
        raise ValueError(f"{op}: {argument} is {dim}, but a tensor of shape () has no axes")
    if not -ndim <= dim < ndim:
        raise ValueError(f"{op}: {argument} must be between {-ndim} and {ndim - 1}, got {dim}")
    return int(dim) % ndim


def normalize_axes(op, dim, ndim):
    """The axes `dim`, one or a sequence, as a tuple of ints; None and () mean all of them."""
    if dim is None or (isinstance(dim, tuple | list) and not dim):
        return tuple(range(ndim))
    axes = dim if isinstance(dim, tuple | list) else (dim,)
    axes = tuple([one_dim(op, "dim", d, ndim) for d in axes])
    if len(set(axes)) < len(axes):
        raise ValueError(f"{op}: dim names an axis twice: {dim}")
    return axes


def kept(shape, axes):
    """`shape` with length 1 on the given axes: what a reduction over them leaves with keepdim."""
    return tuple([1 if axis in axes else n for axis, n in enumerate(shape)])


def require_floating(op, argument, x):
    """The array x must be float32 or float64: NumPy would quietly answer integers in float64."""
    if x.dtype not in FLOATS:
        raise TypeError(f"{op}: {argument} must be float32 or float64, got {x.dtype}")


def number(op, argument, value):
    """A Python or NumPy number as a Python one, which takes the dtype of the array it meets."""
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, int | float):
        raise TypeError(f"{op}: {argument} must be a number, got {type(value).__name__}")
    return value
