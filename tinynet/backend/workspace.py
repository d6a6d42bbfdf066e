"""Memory that is used again. Fresh memory is slow: the system must find and clear it, page by page."""

import ctypes
import platform
import threading

import numpy as np

_local = threading.local()
LIMIT = 2**28  # bytes that a thread keeps. AlexNet needs 11 MB at any batch size, one image of 4000 x 3000 gigabytes


def workspace(name, shape, dtype):
    """An uninitialized NumPy array that this thread may use until it asks for `name` again."""
    buffers = _local.__dict__.setdefault("buffers", {})
    size = int(np.prod(shape))
    key = name, np.dtype(dtype)
    if key not in buffers or buffers[key].size < size:
        nbytes = size * key[1].itemsize
        if nbytes > LIMIT:
            return np.empty(shape, dtype)  # not kept
        buffers.pop(key, None)
        while sum(buffer.nbytes for buffer in buffers.values()) + nbytes > LIMIT:
            del buffers[next(iter(buffers))]  # the oldest; whoever still uses it, keeps it
        buffers[key] = np.empty(size, dtype)
    return buffers[key][:size].reshape(shape)


def keep_freed_memory():
    """Let this process keep the memory of freed arrays, for the next arrays of that size.

    By default glibc returns large blocks to the system at once, and every training step must get the same
    memory again. For programs that train; the price is that the process never shrinks. Does nothing where
    the C library is not glibc.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, largest = -1, -3, 2**31 - 1
        # An older glibc accepts no more than 32 MB here, and returns 0 for more.
        libc.mallopt(M_MMAP_THRESHOLD, largest) or libc.mallopt(M_MMAP_THRESHOLD, 2**25)
        libc.mallopt(M_TRIM_THRESHOLD, largest)
