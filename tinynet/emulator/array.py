"""The emulator's array: a NumPy array that knows its device, and is as strict about its company as CuPy's.

It wraps a NumPy array instead of being one, so that nothing slips through: whatever is done with it goes
through `call`, which refuses NumPy arrays and arrays of another device, as CuPy does. A reduction gives an
array without axes and not a number: a number, a GPU would have to wait for.
"""

import operator
from dataclasses import dataclass

import numpy as np

from tinynet.emulator import device, modes, races, streams


class ndarray:
    """An array of the current device, with whatever values: NaN, or -1, so that it shows if they are used."""

    __slots__ = ("__weakref__", "_array", "_memory", "base")
    __array_ufunc__ = None  # NumPy leaves operators to us, and refuses the rest
    __hash__ = None

    def __new__(cls, shape, dtype=float, *, order="C"):
        array = np.empty(shape, dtype, order)
        array.reshape(-1, order="A").view(np.uint8)[...] = 0xFF
        return wrap(array)

    def __array__(self, *_, **__):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    # -------------------------------------------------------------------------- what it is

    @property
    def device(self):
        return device.Device(self._memory.device_id)

    @property
    def data(self):
        return MemoryPointer(self._array.ctypes.data, self._memory, self.device)

    @property
    def flags(self):
        flags = self._array.flags
        return Flags(flags.c_contiguous, flags.f_contiguous, self.base is None)

    def __len__(self):
        return len(self._array)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        return repr(self._array)

    def __str__(self):
        return str(self._array)

    def __format__(self, spec):
        return format(self._array, spec)

    def __reduce__(self):
        return to_current, (self.get(),)

    # -------------------------------------------------------------------------- elements

    def __getitem__(self, index):
        return call(operator.getitem, self, index)

    def __setitem__(self, index, value):
        call(operator.setitem, self, index, value)

    def copy(self, order="C"):
        """A copy on the current device."""
        return to_current(self, order)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    # -------------------------------------------------------------------------- from and to NumPy

    def get(self, stream=None, order="C", out=None, blocking=True):
        """A NumPy array of the same values; or `out`, a NumPy array that takes them up."""
        device.moved(place(self), "cpu", self.nbytes)
        line = streams.line(stream, self._memory.device_id)
        streams.queued(line, [self._memory], pinned(out))
        if blocking:
            races.synchronize(line.clock)
        if out is None:
            return self._array.copy(order)
        if out.dtype != self.dtype or out.shape != self.shape:
            raise ValueError(f"get: out is {out.dtype} {out.shape}, the array {self.dtype} {self.shape}")
        out[...] = self._array
        return out

    def set(self, arr, stream=None):
        """Takes over the values of a NumPy array of the same shape and dtype."""
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        device.moved("cpu", place(self), self.nbytes)
        streams.queued(streams.line(stream, self._memory.device_id), pinned(arr), [self._memory])
        self._array[...] = arr

    def item(self, *index):
        device.moved(place(self), "cpu", self.itemsize)
        line = streams.line(number=self._memory.device_id)
        streams.queued(line, [self._memory])
        races.synchronize(line.clock)
        return self._array.item(*index)

    def tolist(self):
        return self.get().tolist()

    def tobytes(self, order="C"):
        return self.get().tobytes(order)

    def __bool__(self):
        return bool(self.get())

    def __int__(self):
        return int(self.get())

    def __float__(self):
        return float(self.get())

    def __complex__(self):
        return complex(self.get())


@dataclass(frozen=True)
class Flags:
    c_contiguous: bool
    f_contiguous: bool
    owndata: bool


@dataclass(frozen=True)
class MemoryPointer:
    ptr: int
    mem: device.Memory
    device: device.Device


def place(x):
    return device.name(x._memory.device_id)


# ------------------------------------------------------------------------------ calls of NumPy


def call(function, *args, **kwargs):
    """function(*args, **kwargs), done by NumPy with the arrays inside of ours."""
    operands = []
    args = [unwrap(arg, operands) for arg in args]
    kwargs = {key: unwrap(arg, operands) for key, arg in kwargs.items()}
    here = device.current()
    for x in operands:
        if x._memory.device_id != here:
            raise ValueError(
                f"Array device must be same as the current device: array device = {place(x)} "
                f"while current = {device.name(here)} (in {getattr(function, '__name__', function)})"
            )
    with np.errstate(all="ignore"):  # GPUs do not warn
        result = rewrap(function(*args, **kwargs), operands)
    if modes.current().streams:
        streams.queued(streams.line(), *used(operands, result))
    return result


def used(operands, result):
    """The memory that a call has read, and that it has written. One that gives views has done neither."""
    results = result if isinstance(result, tuple | list) else [result]
    if result is None:  # x[i] = y, copyto, sort, ...
        results = operands[:1]
    shared = {id(x._memory) for x in operands}
    written = [
        x._memory for x in results
        if isinstance(x, ndarray) and (id(x._memory) not in shared or any(x is y for y in operands))
    ]
    return [x._memory for x in operands if written], written


def unwrap(value, operands):
    """value with NumPy's arrays in place of ours, which go to the list `operands`."""
    if isinstance(value, ndarray):
        operands.append(value)
        return value._array
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {np.ndarray}: first bring the NumPy array to the device, with asarray")
    if type(value) in (tuple, list):
        return type(value)(unwrap(item, operands) for item in value)
    return value


def rewrap(result, operands):
    """result with our arrays in place of NumPy's."""
    if isinstance(result, np.ndarray):
        for x in operands:
            if x._array is result:  # because of out=, or an operation in place
                return x
        return wrap(result, operands)
    if isinstance(result, np.generic | bool):  # allclose gives a bool
        return wrap(np.asarray(result))
    if isinstance(result, tuple | list):
        return type(result)(rewrap(item, operands) for item in result)
    return result


def wrap(array, operands=()):
    """Our array around NumPy's, on the current device. A view of an operand shares its memory."""
    new = object.__new__(ndarray)
    new._array = array
    owner = owner_of(array)
    for x in operands:
        if owner_of(x._array) is owner:
            new._memory = x._memory
            new.base = x if x.base is None else x.base
            return new
    new._memory = device.Memory(device.current(), owner.nbytes)
    new.base = None
    streams.given_out(new._memory)
    return new


def owner_of(array):
    """The array whose memory `array` is a view of."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


def pinned(array):
    """The pinned memory that a NumPy array lies in, in a list; an empty one if it lies elsewhere."""
    owner = owner_of(array)
    owner = getattr(owner, "obj", owner)  # of a memoryview
    return [owner] if hasattr(owner, "history") else []


def to_current(x, order="C"):
    """A copy of x, an array of NumPy or of any device, on the current device."""
    source, array = (place(x), x._array) if isinstance(x, ndarray) else ("cpu", x)
    copy = wrap(array.copy(order))
    if source != place(copy):
        device.moved(source, place(copy), array.nbytes)
    streams.queued(streams.line(), [x._memory] if isinstance(x, ndarray) else (), [copy._memory])
    return copy


# ------------------------------------------------------------------------------ methods and operators

ATTRIBUTES = "dtype itemsize nbytes ndim shape size strides"
VIEWS = "T mT imag real"
METHODS = """
all any argmax argmin argsort astype clip conj cumprod cumsum diagonal dot fill flatten max mean min nonzero prod
ravel repeat reshape round searchsorted sort squeeze std sum swapaxes take trace transpose var view
"""
UNARY = "neg pos abs invert"
BINARY = "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift"
IN_PLACE = "add sub mul truediv floordiv mod pow and or xor lshift rshift"  # CuPy has no @=
COMPARISONS = "lt le eq ne ge gt"


def _function(name):
    """What Python's operator stands for: that of `+` for add."""
    return divmod if name == "divmod" else getattr(operator, f"__{name}__")


def _delegate(function, swap=False):
    def method(self, *args, **kwargs):
        return call(function, args[0], self) if swap else call(function, self, *args, **kwargs)

    method.__name__ = function.__name__
    return method


for _name in ATTRIBUTES.split():
    setattr(ndarray, _name, property(lambda self, get=operator.attrgetter(_name): get(self._array)))
for _name in VIEWS.split():
    setattr(ndarray, _name, property(lambda self, get=operator.attrgetter(_name): call(get, self)))
for _name in METHODS.split():
    setattr(ndarray, _name, _delegate(getattr(np.ndarray, _name)))
for _name in (UNARY + " " + BINARY + " " + COMPARISONS).split():
    setattr(ndarray, f"__{_name}__", _delegate(_function(_name)))
for _name in BINARY.split():
    setattr(ndarray, f"__r{_name}__", _delegate(_function(_name), swap=True))
for _name in IN_PLACE.split():
    setattr(ndarray, f"__i{_name}__", _delegate(_function(f"i{_name}")))
