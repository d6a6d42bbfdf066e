"""From a .cu file in this folder to a function that Python can call.

    f = kernel(x, "relu", "relu_forward")      # of kernels/relu.cu, for the device and the dtype of the array x
    f(grid, block, (x, y, np.int32(x.size)))

The source goes to the RawModule of the array's library. CuPy hands it to NVRTC and keeps one loaded copy per GPU;
the emulator hands it to the C++ compiler. Both cache what they have compiled on disk.
"""

import functools
import hashlib
from pathlib import Path

import numpy as np

from tinynet.backend import array_module, device_of

FOLDER = Path(__file__).parent
C_TYPES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
LARGEST = 2**31 - 1  # elements of an array: the kernels compute indices with 32 bits


class KernelError(RuntimeError):
    """A .cu file that does not compile, with the compiler's message and the file's own line numbers."""


def kernel(like, file, name, **defines):
    """The function `name` of kernels/<file>.cu, a callable (grid, block, args, shared_mem=0).

    like: an array on the device that it will run on; its dtype becomes the C type T. defines: -D options.
    Compiled once per file, library, dtype and set of defines.
    """
    return _function(array_module(like), file, name, C_TYPES[like.dtype], tuple(sorted(defines.items())))


@functools.cache
def _function(xp, file, name, T, defines):
    try:
        return _module(xp, file, T, defines).get_function(name)
    except xp.cuda.compiler.CompileException as error:
        raise KernelError(f"kernels/{file}.cu does not compile ({xp.__name__}):\n{error}") from error


@functools.cache
def _module(xp, file, T, defines):
    code, options = source(FOLDER / f"{file}.cu", T, defines)
    return xp.RawModule(code=code, options=options)


def source(path, T, defines=()):
    """What the compiler gets: (source text, options)."""
    # A typedef and not -DT=..., since NVRTC's own headers have templates over a T. #line corrects the line
    # numbers, and tells the compiler the file's name.
    code = f'typedef {T} T;\n#line 1 "{path.as_posix()}"\n{path.read_text(encoding="utf-8")}'
    # CuPy's cache on disk identifies a kernel by its source and options, so changed headers must show there.
    options = [f"-D{key}={value}" for key, value in defines]
    return code, (*options, f"-I{FOLDER}", f"-DHEADERS=0x{_headers()}")


@functools.cache
def _headers():
    headers = sorted(FOLDER.glob("*.cuh"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in headers)).hexdigest()[:15]


def check(op, **arrays):
    """The arrays, as C-contiguous copies where they are not contiguous; None stays None.

    Raises TypeError or ValueError, with the array's name, if the kernels would misread it.
    """
    first, like = next((name, a) for name, a in arrays.items() if a is not None)
    if like.dtype not in C_TYPES:
        raise TypeError(f"{op}: the kernels take float32 or float64, {first} is {like.dtype}")
    for name, a in arrays.items():
        if a is None:
            continue
        if a.dtype != like.dtype:
            raise TypeError(f"{op}: {name} is {a.dtype} but {first} is {like.dtype}")
        if device_of(a) != device_of(like):
            raise ValueError(f"{op}: {name} is on {device_of(a)} but {first} on {device_of(like)}")
        check_size(op, name, a.shape)
    return [None if a is None else contiguous(a) for a in arrays.values()]


def contiguous(a):
    """The array itself if it is C-contiguous, otherwise a copy. (ascontiguousarray would turn shape () into (1,).)"""
    return a if a.flags.c_contiguous else array_module(a).ascontiguousarray(a)


def check_size(op, name, shape):
    """Raises ValueError if indices into an array of this shape do not fit into 32 bits."""
    size = 1
    for length in shape:
        size *= length
    if size > LARGEST:
        raise ValueError(f"{op}: {name} {tuple(shape)} has {size:,} elements; the kernels count up to {LARGEST:,}")


def ceil_div(a, b):
    return -(-a // b)
