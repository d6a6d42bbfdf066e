"""The emulator's array: a NumPy array that knows its device, and mixes with others as strictly as CuPy's.

It wraps a NumPy array instead of subclassing it, so that every operation goes through `call`, which refuses NumPy
arrays and arrays of other devices, as CuPy does. A reduction returns a 0-d array and not a number, because for a
number the host would have to wait.
"""

import operator
from types import SimpleNamespace

import numpy as np

from tinynet.emulator import device, modes, races, streams


class ndarray:
    """An uninitialized array on the current device. Its values are NaN or -1, so that it shows if they are used."""

    __slots__ = ("__weakref__", "_array", "_memory", "base")
    __array_ufunc__ = None  # NumPy leaves operators to this class, and refuses everything else
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

    # -------------------------------------------------------------------------- attributes

    @property
    def device(self):
        return device.Device(self._memory.device_id)

    @property
    def data(self):
        return SimpleNamespace(ptr=self._array.ctypes.data, mem=self._memory, device=self.device)

    @property
    def flags(self):
        flags = self._array.flags
        owns = self.base is None
        return SimpleNamespace(c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous, owndata=owns)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

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

    def __deepcopy__(self, memo=None):
        return self.copy()

    __copy__ = __deepcopy__

    # -------------------------------------------------------------------------- to and from NumPy

    def get(self, stream=None, order="C", out=None, blocking=True):
        """The values as a NumPy array: a new one, or `out`."""
        device.record_transfer(device_name(self), "cpu", self.nbytes)
        timeline = streams.timeline(stream, self._memory.device_id)
        streams.record_work(timeline, [self._memory], pinned(out))
        if blocking:
            races.synchronize(timeline.clock)
        if out is None:
            return self._array.copy(order)
        if out.dtype != self.dtype or out.shape != self.shape:
            raise ValueError(f"get: out is {out.dtype} {out.shape}, the array {self.dtype} {self.shape}")
        out[...] = self._array
        return out

    def set(self, arr, stream=None):
        """Copies the values of a NumPy array of the same shape and dtype."""
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        device.record_transfer("cpu", device_name(self), self.nbytes)
        streams.record_work(streams.timeline(stream, self._memory.device_id), pinned(arr), [self._memory])
        self._array[...] = arr

    def item(self, *index):
        device.record_transfer(device_name(self), "cpu", self.itemsize)
        timeline = streams.timeline(device_id=self._memory.device_id)
        streams.record_work(timeline, [self._memory])
        races.synchronize(timeline.clock)
        return self._array.item(*index)

    def tolist(self):
        return self.get().tolist()

    def tobytes(self, order="C"):
        return self.get().tobytes(order)


def device_name(x):
    return device.name(x._memory.device_id)


# ------------------------------------------------------------------------------ calls to NumPy


def call(function, *args, **kwargs):
    """function(*args, **kwargs), computed by NumPy on the arrays that ours wrap."""
    operands = []
    args = [unwrap(arg, operands) for arg in args]
    kwargs = {key: unwrap(arg, operands) for key, arg in kwargs.items()}
    here = device.current()
    for x in operands:
        if x._memory.device_id != here:
            raise ValueError(
                f"Array device must be same as the current device: array device = {device_name(x)} "
                f"while current = {device.name(here)} (in {getattr(function, '__name__', function)})"
            )
    with np.errstate(all="ignore"):  # GPUs do not warn
        result = rewrap(function(*args, **kwargs), operands)
    if modes.current().streams:
        streams.record_work(streams.timeline(), *accesses(operands, result))
    return result


def accesses(operands, result):
    """([memory that a call read], [memory that it wrote]). A call that returned a view did neither."""
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
    """value with NumPy's arrays in place of ours. Appends ours to the list `operands`."""
    if isinstance(value, ndarray):
        operands.append(value)
        return value._array
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {np.ndarray}: copy the NumPy array to the device first, with asarray")
    if type(value) in (tuple, list):
        return type(value)(unwrap(item, operands) for item in value)
    return value


def rewrap(result, operands):
    """result with our arrays in place of NumPy's."""
    if isinstance(result, np.ndarray):
        for x in operands:
            if x._array is result:  # from out=, or from an in-place operation
                return x
        return wrap(result, operands)
    if isinstance(result, np.generic | bool):  # allclose returns a bool
        return wrap(np.asarray(result))
    if isinstance(result, tuple | list):
        return type(result)(rewrap(item, operands) for item in result)
    return result


def wrap(array, operands=()):
    """Wraps NumPy's array, on the current device. A view of an operand shares the operand's memory."""
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
    streams.record_allocation(new._memory)
    return new


def owner_of(array):
    """The array whose memory `array` is a view of."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


def pinned(array):
    """[the pinned memory that holds a NumPy array], or [] if the array is elsewhere."""
    owner = owner_of(array)
    owner = getattr(owner, "obj", owner)  # of a memoryview
    return [owner] if hasattr(owner, "history") else []


def to_current(x, order="C"):
    """A copy on the current device of x, a NumPy array or an array on any device."""
    source, array = (device_name(x), x._array) if isinstance(x, ndarray) else ("cpu", x)
    copy = wrap(array.copy(order))
    if source != device_name(copy):
        device.record_transfer(source, device_name(copy), array.nbytes)
    streams.record_work(streams.timeline(), [x._memory] if isinstance(x, ndarray) else (), [copy._memory])
    return copy


# ------------------------------------------------------------------------------ methods and operators

FUNCTIONS = len, repr, str, format  # of the array
CONVERSIONS = bool, int, float, complex  # of its values, which the host must wait for
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


def _operator(name):
    """The function of Python's operator: `+` for add."""
    return divmod if name == "divmod" else getattr(operator, f"__{name}__")


def _delegate(function, swap=False):
    def method(self, *args, **kwargs):
        return call(function, args[0], self) if swap else call(function, self, *args, **kwargs)

    method.__name__ = function.__name__
    return method


for _function in FUNCTIONS:
    setattr(ndarray, f"__{_function.__name__}__", lambda self, *args, f=_function: f(self._array, *args))
for _function in CONVERSIONS:
    setattr(ndarray, f"__{_function.__name__}__", lambda self, f=_function: f(self.get()))
for _name in ATTRIBUTES.split():
    setattr(ndarray, _name, property(lambda self, get=operator.attrgetter(_name): get(self._array)))
for _name in VIEWS.split():
    setattr(ndarray, _name, property(lambda self, get=operator.attrgetter(_name): call(get, self)))
for _name in METHODS.split():
    setattr(ndarray, _name, _delegate(getattr(np.ndarray, _name)))
for _name in (UNARY + " " + BINARY + " " + COMPARISONS).split():
    setattr(ndarray, f"__{_name}__", _delegate(_operator(_name)))
for _name in BINARY.split():
    setattr(ndarray, f"__r{_name}__", _delegate(_operator(_name), swap=True))
for _name in IN_PLACE.split():
    setattr(ndarray, f"__i{_name}__", _delegate(_operator(f"i{_name}")))
