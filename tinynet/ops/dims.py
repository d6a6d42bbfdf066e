"""Checks that many operations make of their arguments: axes that exist, floating point, plain numbers, flags."""

import numpy as np

from tinynet.autograd import FLOATS, Tensor


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


def check_tensor(op, argument, value):
    """Raise unless `value` is a tensor. Function checks its inputs itself: for ops that need theirs before that."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{op}: {argument} must be a tinynet.Tensor, got {type(value).__name__}; tinynet.tensor(...) makes one"
        )


def check_tensors(op, tensors):
    """A sequence of tensors, not empty, as a tuple."""
    if isinstance(tensors, Tensor) or not hasattr(tensors, "__iter__"):
        raise TypeError(f"{op}: tensors must be a sequence of tensors, got {type(tensors).__name__}")
    tensors = tuple(tensors)
    if not tensors:
        raise ValueError(f"{op}: tensors is empty")
    for k, x in enumerate(tensors):
        check_tensor(op, f"tensors[{k}]", x)
    return tensors


def check_image(op, input):
    """Raise unless the tensor `input` is a batch of images: floating, (N, C, H, W)."""
    check_tensor(op, "input", input)
    if input.ndim != 4:
        raise ValueError(f"{op}: input must be (N, C, H, W), got shape {input.shape}")
    require_floating(op, "input", input)


def require_floating(op, argument, x):
    """Raise unless the array x is float32 or float64: NumPy would silently turn integers into float64."""
    if x.dtype not in FLOATS:
        raise TypeError(f"{op}: {argument} must be float32 or float64, got {x.dtype}")


def is_integer(value):
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def integer(op, argument, value, least=None):
    """An integer, of at least `least`, as a Python one."""
    if not is_integer(value) or (least is not None and value < least):
        of_at_least = "" if least is None else f" of at least {least}"
        raise (ValueError if is_integer(value) else TypeError)(
            f"{op}: {argument} must be an integer{of_at_least}, got {shown(value)}"
        )
    return int(value)


def pair(op, argument, value, least):
    """An int, or a pair of ints, each at least `least`, as a pair (height first)."""
    both = value if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or not all(is_integer(v) and v >= least for v in both):
        raise ValueError(f"{op}: {argument} must be an integer of at least {least}, or two, got {shown(value)}")
    return int(both[0]), int(both[1])


def flag(op, argument, value):
    """True or False: the truth of anything else, of an axis given by mistake, would be a guess."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{op}: {argument} must be True or False, got {shown(value)}")
    return bool(value)


def operand(op, argument, value):
    """A Python or NumPy number as a Python one, which takes on the dtype of any array it is combined with."""
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, int | float):
        raise TypeError(f"{op}: {argument} must be a number, got {type(value).__name__}")
    return value


def number(op, argument, value):
    """As operand, for a hyper-parameter: True and False are no numbers."""
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{op}: {argument} must be a number, got bool")
    return operand(op, argument, value)


def check_fits(op, argument, value, dtype):
    """Raise if the dtype is one of integers that do not reach to the number `value`."""
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
        raise ValueError(f"{op}: {argument} is {value}, which {dtype} cannot hold")


def refuse_bool(op, what, *arrays):
    """Raise if all arrays hold bool, for which NumPy has no such operation."""
    if all(a.dtype == bool for a in arrays):
        raise TypeError(f"{op}: {what} bool, which is no number; integers are, and floats")


def fraction(op, argument, value):
    """A number from 0 to 1."""
    if not 0 <= number(op, argument, value) <= 1:
        raise ValueError(f"{op}: {argument} must be from 0 to 1, got {value}")
    return value


def shown(value):
    """What came, for one line of a message: short values themselves, others by their type."""
    plain = value is None or isinstance(value, int | float | str | tuple | list | np.generic)
    text = repr(value) if plain else type(value).__name__
    return text if len(text) <= 60 and "\n" not in text else type(value).__name__
