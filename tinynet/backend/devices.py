"""Arrays and devices: the one file that knows which array library and which processor is in use.

A device is a string: `cpu`; `cuda:0`, `cuda:1`, ...; or `emu:0`, `emu:1`, ..., GPUs that this program
emulates (tinynet/emulator/). The array chooses the library: NumPy arrays live on `cpu`, CuPy arrays and the
emulator's arrays on the GPU that holds them. Layer code asks `xp = array_module(x)`, and from there on
reads the same for all three.
"""

import contextlib
import functools

import numpy as np

from tinynet import emulator
from tinynet.backend import peer_copy
from tinynet.backend.cupy_loader import cupy

NUMPY = np.ndarray, np.generic  # the second for results without axes, which NumPy returns as scalars


def array_module(x):
    """The library that `x` belongs to: numpy, cupy or the emulator."""
    if isinstance(x, NUMPY):
        return np
    if isinstance(x, emulator.xp.ndarray):
        return emulator.xp
    if type(x).__module__.partition(".")[0] == "cupy":
        return cupy()
    raise TypeError(f"expected a NumPy, CuPy or emulated array, got {type(x).__name__}")


def as_array(x):
    """x, made an array if NumPy returned a scalar, which += cannot change. Raises TypeError for anything else."""
    if isinstance(x, np.ndarray):
        return x
    if isinstance(x, np.generic):
        return np.asarray(x)
    array_module(x)  # raises the TypeError
    return x


def on_gpu(x):
    """Whether the array `x` is where CUDA kernels run: on a GPU or an emulated one."""
    return not isinstance(x, np.ndarray)


def device_of(x):
    """The device that holds the array `x`, as a string."""
    if isinstance(x, NUMPY):
        return "cpu"
    kind = "emu" if isinstance(x, emulator.xp.ndarray) else "cuda"
    return f"{kind}:{x.device.id}"


def check_device(device):
    """Return `device` if it is a device's name; otherwise raise ValueError."""
    if isinstance(device, str):
        kind, colon, number = device.partition(":")
        if device == "cpu" or (kind in ("cuda", "emu") and colon and number.isdecimal()):
            return device
    raise ValueError(f"device must be 'cpu', 'cuda:<number>' or 'emu:<number>', got {device!r}")


def library(device):
    """The array library of a device: numpy, cupy or the emulator. Raises RuntimeError if there is no such device."""
    kind, _, number = check_device(device).partition(":")
    if kind == "cpu":
        return np
    xp = emulator.xp if kind == "emu" else cupy()
    count = _device_count(xp)
    if int(number) >= count:
        raise RuntimeError(f"there is no {device}: {kind} devices here are {kind}:0 to {kind}:{count - 1}")
    return xp


@functools.cache
def _device_count(xp):
    return xp.cuda.runtime.getDeviceCount()


_nothing = contextlib.nullcontext()  # one is enough: it holds no state


def use_device(device):
    """A context in which new arrays and kernels belong to `device`."""
    if device == "cpu":
        return _nothing
    return library(device).cuda.Device(_number(device))


def to_device(x, device):
    """The array `x` on `device`: `x` itself if it is there already, else a copy."""
    here = device_of(x)
    if here == check_device(device):
        return x
    library_here, there = array_module(x), library(device)
    if there is library_here:
        return peer_copy.copy(there, x, _number(here), _number(device))
    x = library_here.asnumpy(x) if here != "cpu" else x
    if there is np:
        return x
    with use_device(device):
        return there.asarray(x)


def _number(device):
    return int(device.partition(":")[2])


def memory(device):
    """(bytes that CuPy's memory pool holds on a GPU, bytes that the GPU has)."""
    with use_device(device) as gpu:
        return library(device).get_default_memory_pool().total_bytes(), gpu.mem_info[1]
