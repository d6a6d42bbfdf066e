"""A stand-in for the module cupy: what `xp = array_module(x)` is when x is emulated.

It has only names that CuPy has (tests/emulator/test_arrays.py compares them), so code that runs here finds them there
too, and of these only what tinynet needs. To add one, extend the lists.
"""

import numpy as _np

from tinynet.emulator import array as _array
from tinynet.emulator.array import ndarray
from tinynet.emulator.cuda import Namespace as _Namespace
from tinynet.emulator.cuda import cuda
from tinynet.emulator.cuda import missing as _missing
from tinynet.emulator.device import MemoryPool as _MemoryPool
from tinynet.emulator.launch import RawKernel, RawModule

__all__ = ["RawKernel", "RawModule", "cuda", "ndarray"]

_SAME_AS_NUMPY = """
bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128
dtype finfo iinfo issubdtype result_type promote_types can_cast isscalar inf nan pi e newaxis
"""
_FUNCTIONS = """
zeros zeros_like ones ones_like full full_like arange linspace eye identity tri tril triu diag meshgrid copyto
reshape ravel moveaxis swapaxes transpose squeeze expand_dims broadcast_to broadcast_arrays
concatenate stack vstack hstack split array_split tile repeat flip roll rot90 pad
where take take_along_axis nonzero flatnonzero argwhere searchsorted sort argsort unique bincount count_nonzero
sum prod mean std var max min amax amin argmax argmin all any cumsum cumprod median clip trace
dot matmul tensordot einsum outer inner isclose allclose array_equal nan_to_num
"""
_UFUNCS = """
add subtract multiply divide true_divide floor_divide remainder mod divmod power negative absolute abs sign square
exp exp2 expm1 log log2 log10 log1p sqrt cbrt reciprocal sin cos tan sinh cosh tanh arctan arctan2 hypot
maximum minimum fmax fmin floor ceil rint trunc isfinite isinf isnan signbit
equal not_equal less less_equal greater greater_equal logical_and logical_or logical_xor logical_not
bitwise_and bitwise_or bitwise_xor invert left_shift right_shift
"""


def _function(function):
    def emulated(*args, **kwargs):
        return _array.call(function, *args, **kwargs)

    emulated.__name__ = function.__name__
    return emulated


def _ufunc(function):
    emulated = _function(function)
    for name in ("at", "reduce", "accumulate", "outer"):
        setattr(emulated, name, _function(getattr(function, name)))
    return emulated


class _Grid:
    def __init__(self, grid):
        self._grid = grid

    def __getitem__(self, key):
        return _array.rewrap(self._grid[key], ())


for _name in _SAME_AS_NUMPY.split():
    globals()[_name] = getattr(_np, _name)
for _name in _FUNCTIONS.split():
    globals()[_name] = _function(getattr(_np, _name))
for _name in _UFUNCS.split():
    globals()[_name] = _ufunc(getattr(_np, _name))
ogrid, mgrid = _Grid(_np.ogrid), _Grid(_np.mgrid)
_stride_tricks = _Namespace("lib.stride_tricks", as_strided=_function(_np.lib.stride_tricks.as_strided))
lib = _Namespace("lib", stride_tricks=_stride_tricks)


def __getattr__(name):
    raise _missing("xp", name)


# ------------------------------------------------------------------------------ new arrays


def empty(shape, dtype=float, order="C"):
    return ndarray(shape, dtype, order=order)


def empty_like(prototype, dtype=None):
    return ndarray(prototype.shape, dtype or prototype.dtype)


def array(obj, dtype=None, copy=True, order="K"):
    """An array on the current device, made from a number, a list, a NumPy array or an array on any device."""
    here = cuda.Device()
    if not isinstance(obj, ndarray):
        return _array.to_current(_np.asarray(obj, dtype), order)
    if copy or obj.device != here:
        obj = _array.to_current(obj, order)
    return obj if dtype in (None, obj.dtype) else obj.astype(dtype)


def asarray(a, dtype=None, order="K"):
    """`a` itself if it is an array on the current device with this dtype, otherwise a copy there."""
    return array(a, dtype, copy=False, order=order)


def ascontiguousarray(a, dtype=None):
    a = asarray(a, dtype, "C")
    return a if a.flags.c_contiguous else a.copy()


def copy(a, order="K"):
    return a.copy(order)


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    """The values as a NumPy array."""
    return a.get(stream, order, out) if isinstance(a, ndarray) else _np.asarray(a, order=order)


_pool = _MemoryPool()


def get_default_memory_pool():
    return _pool
