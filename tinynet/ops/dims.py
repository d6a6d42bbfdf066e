"""Checks that many operations make of their arguments: axes that exist, floating point, plain numbers."""

import numpy as np

from tinynet.autograd import FLOATS


def normalize_axis(op, argument, dim, ndim):
    """The axis `dim`, negative if counted from the end, as an int from 0 to ndim - 1."""
    if isinstance(dim, bool) or not isinstance(dim, int | np.integer):
        raise TypeError(f"{op}: {argument} must be an integer, got {type(dim).__name__}")
    if ndim == 0:
        raise ValueError(f"{op}: {argument} is {dim}, but a tensor of shape () has no axes")
    if not -ndim <= dim < ndim:
        raise ValueError(f"{op}: {argument} must be between {-ndim} and {ndim - 1}, got {dim}")
    return int(dim) % ndim


def normalize_axes(op, dim, ndim):
    """The axis or axes `dim` as a tuple of ints from 0 to ndim - 1; None and () mean all axes."""
    if dim is None or (isinstance(dim, tuple | list) and not dim):
        return tuple(range(ndim))
    axes = dim if isinstance(dim, tuple | list) else (dim,)
    axes = tuple([normalize_axis(op, "dim", d, ndim) for d in axes])
    if len(set(axes)) < len(axes):
        raise ValueError(f"{op}: dim names an axis twice: {dim}")
    return axes


def keepdim_shape(shape, axes):
    """`shape` with length 1 along the given axes: the result of a reduction over them with keepdim."""
    return tuple([1 if axis in axes else n for axis, n in enumerate(shape)])


def require_floating(op, argument, x):
    """Raise unless the array x is float32 or float64: NumPy would silently turn integers into float64."""
    if x.dtype not in FLOATS:
        raise TypeError(f"{op}: {argument} must be float32 or float64, got {x.dtype}")


def number(op, argument, value):
    """A Python or NumPy number as a Python one, which takes on the dtype of any array it is combined with."""
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, int | float):
        raise TypeError(f"{op}: {argument} must be a number, got {type(value).__name__}")
    return value
