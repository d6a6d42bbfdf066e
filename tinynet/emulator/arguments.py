"""The arguments of a launch: checked against the kernel's parameters, and packed for it.

A GPU receives only bytes and silently misreads a wrong argument. The emulator refuses it.
"""

import struct
from typing import NamedTuple

import numpy as np

from tinynet.emulator import device
from tinynet.emulator.array import device_name, ndarray

# For each kind of C++ type, the kinds of dtype that it accepts: int for unsigned, uint8 for bool.
ACCEPTED_KINDS = {"i": "iu", "u": "iub", "f": "f", "b": "bu"}


class Parameter(NamedTuple):
    offset: int  # in the packed bytes
    size: int
    is_pointer: bool
    kind: str  # dtype.kind of the parameter, or of what it points to; "?" for structs and other types
    item_size: int  # of the same
    text: str  # its declaration in the source, or ""

    @property
    def type(self):
        if self.kind == "?":
            return f"a struct of {self.item_size} bytes"
        return str(np.dtype(f"{self.kind}{self.item_size}"))

    def accepts(self, dtype):
        if self.kind == "?":
            return self.is_pointer or dtype.itemsize == self.item_size
        return dtype.itemsize == self.item_size and dtype.kind in ACCEPTED_KINDS[self.kind]


def pack(args, parameters, size, error):
    """The arguments as the `size` bytes that the kernel reads. Raises error(message) if it would misread one."""
    if len(args) != len(parameters):
        raise error(f"takes {len(parameters)} arguments, got {len(args)}")
    packed = bytearray(size)
    for i, (arg, parameter) in enumerate(zip(args, parameters, strict=True)):
        data = as_bytes(arg, parameter)
        if isinstance(data, str):
            raise error(f"argument {i} ({parameter.text or 'unnamed'}): {data}")
        packed[parameter.offset : parameter.offset + parameter.size] = data
    return bytes(packed)


def as_bytes(arg, parameter):
    """The argument's bytes, or a string that says what is wrong with it."""
    if isinstance(arg, ndarray):
        if not parameter.is_pointer:
            return f"expected {parameter.type}, got an array"
        if not parameter.accepts(arg.dtype):
            return f"expected an array of {parameter.type}, got one of {arg.dtype}"
        if arg._memory.device_id != device.current():
            return f"the array is on {device_name(arg)}, the current device is {device.name(device.current())}"
        return struct.pack("P", arg._array.ctypes.data)
    if parameter.is_pointer:
        if arg is None:
            return bytes(parameter.size)
        return f"expected an array on the device, or None; got {type(arg).__name__}"
    is_struct = isinstance(arg, np.ndarray) and arg.size == 1 and arg.dtype.kind == "V"
    if not isinstance(arg, np.generic) and not is_struct:
        hint = " (CuPy would pass it as 64 bits)" if isinstance(arg, int | float) else ""
        return f"expected a NumPy scalar, {parameter.type}; got {type(arg).__name__}{hint}"
    if not parameter.accepts(arg.dtype):
        return f"expected {parameter.type}, got {arg.dtype}"
    return arg.tobytes()
