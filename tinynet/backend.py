"""Arrays and devices: the one place that knows which array library and which processor is in use.

A device is a string: `cpu`, or `cuda:0`, `cuda:1`, ... The array decides the library: NumPy arrays
live on `cpu`, CuPy arrays on the GPU that holds them. Layer code asks `xp = array_module(x)` and
then reads the same for both. CuPy is imported here, at first need, and nowhere else.

NumPy runs element-wise work on one core, but lets go of Python's lock while it does. `parallel_for`
uses that: it cuts a loop over a batch into pieces that a few threads work through.
"""

import contextlib
import ctypes
import importlib
import itertools
import math
import os
import platform
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import threadpoolctl

# ---------------------------------------------------------------------------- arrays and devices


def cupy():
    """The CuPy module, or one clear line where it is missing or has no GPU to talk to."""
    try:
        module = importlib.import_module("cupy")
        count = module.cuda.runtime.getDeviceCount()
    except ImportError as error:
        raise RuntimeError(
            "a cuda device needs CuPy, which is not installed here: "
            "pip install 'tinynet[cuda12]' or 'tinynet[cuda13]', as your driver has it"
        ) from error
    except Exception as error:  # CuPy's own CUDARuntimeError cannot be named before the import
        raise RuntimeError(f"CuPy is installed but finds no usable GPU: {error}") from error
    if not count:
        raise RuntimeError("CuPy is installed but this machine has no GPU")
    return module


def array_module(x):
    """The library that `x` belongs to: numpy or cupy."""
    if isinstance(x, np.ndarray | np.generic):
        return np
    if type(x).__module__.partition(".")[0] == "cupy":
        return cupy()
    raise TypeError(f"expected a NumPy or CuPy array, got {type(x).__name__}")


def device_of(x):
    """The device that holds the array `x`, as a string."""
    return "cpu" if isinstance(x, np.ndarray | np.generic) else f"cuda:{x.device.id}"


def check_device(device):
    """Return `device` if it names one; otherwise ValueError."""
    if isinstance(device, str):
        kind, colon, number = device.partition(":")
        if device == "cpu" or (kind == "cuda" and colon and number.isdecimal()):
            return device
    raise ValueError(f"device must be 'cpu' or 'cuda:<number>', got {device!r}")


def use_device(device):
    """A context in which new arrays and kernels belong to `device`."""
    if device == "cpu":
        return contextlib.nullcontext()
    return cupy().cuda.Device(int(check_device(device).partition(":")[2]))


def to_device(x, device):
    """The array `x` on `device`: itself if it is there already, else a copy."""
    if device_of(x) == check_device(device):
        return x
    if device == "cpu":
        return cupy().asnumpy(x)
    with use_device(device):
        return cupy().asarray(x)


# ---------------------------------------------------------------------------- randomness

_generator = np.random.Generator(np.random.PCG64(0))


def generator():
    """The one random generator of initialisers and dropout; a checkpoint holds its state."""
    return _generator


def manual_seed(seed):
    """Start the generator again from `seed`: the same seed on the same device gives the same bits."""
    _generator.bit_generator.state = np.random.PCG64(seed).state


# ---------------------------------------------------------------------------- threads

WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SMALL = 2**14  # elements: fewer are not worth waking a thread for
BLOCK = 2**16  # elements: small enough to stay in cache, large enough to be worth a call
_local = threading.local()  # .busy: this thread works for a parallel_for; .scratch: its buffers


@contextlib.contextmanager
def _marked_busy():
    _local.busy = True
    try:
        yield
    finally:
        _local.busy = False


class _Threads:
    """The pool and BLAS's thread count, looked up at first use so that importing stays quick."""

    def __init__(self):
        self.lock = threading.Lock()  # one parallel_for at a time: BLAS's thread count is global
        self.pool = None

    def start(self):
        self.pool = ThreadPoolExecutor(max(WORKERS - 1, 1), thread_name_prefix="tinynet")
        self.blas = threadpoolctl.ThreadpoolController().select(user_api="blas")


_threads = _Threads()
if hasattr(os, "register_at_fork"):  # a forked child has none of its parent's threads
    os.register_at_fork(after_in_child=_threads.__init__)


def pieces(n, count):
    """Cut range(n) into at most `count` runs of nearly equal length: [(start, stop), ...]."""
    count = max(1, min(n, count))
    edges = [n * i // count for i in range(count + 1)]
    return list(itertools.pairwise(edges))


def parallel_for(n, body, on):
    """Call `body(start, stop)` over pieces of range(n), on all cores if `on` is a NumPy array.

    The pieces run in any order, on any thread, so each must write to its own part of the result.
    BLAS is held to one thread a worker meanwhile: many small products side by side keep the cores
    busier than each product cut in two. A GPU is parallel by itself and gets one call, and so does
    an array `on` so small that waking a thread would cost more.
    """
    alone = WORKERS == 1 or n < 2 or getattr(_local, "busy", False)
    if alone or not isinstance(on, np.ndarray) or on.size < SMALL:
        body(0, n)
        return
    todo = deque(pieces(n, 4 * WORKERS))  # more pieces than workers: a slow core gets fewer

    def work():
        with _marked_busy():
            while todo:
                try:
                    piece = todo.popleft()
                except IndexError:  # another thread took the last one in between
                    return
                body(*piece)

    with _threads.lock:
        if _threads.pool is None:
            _threads.start()
        others = []
        with _threads.blas.limit(limits=1):
            try:
                others += [_threads.pool.submit(work) for _ in range(WORKERS - 1)]
                work()
            finally:  # also after an error or Ctrl-C here: no thread may outlive the call
                todo.clear()
                wait(others)
        for other in others:
            other.result()


def elementwise(body, *xs):
    """Call `body(y, *xs)`, which fills y element by element, in parallel; return y.

    xs: arrays of one shape; y: a new array of that shape and of the first one's dtype. Large arrays
    come to the body as flat pieces, on several threads: it may use its arguments, never a whole
    array from outside. Whatever temporaries it makes are as small as one block, and stay in cache.
    """
    y = array_module(xs[0]).empty(xs[0].shape, xs[0].dtype)
    update_elementwise(body, y, *xs)
    return y


def update_elementwise(body, *arrays):
    """Call `body(*arrays)`, which works element by element in place, block by block in parallel."""
    on = arrays[0]
    if on.size < SMALL or not all(a.flags.c_contiguous for a in arrays):
        body(*arrays)
        return
    flat = [a.reshape(-1) for a in arrays]
    block = BLOCK if isinstance(on, np.ndarray) else on.size

    def run(first, last):  # blocks number first to last
        for start in range(first * block, min(last * block, on.size), block):
            body(*(a[start : start + block] for a in flat))

    parallel_for(math.ceil(on.size / block), run, on)


def gate(out, x, passes):
    """out = x where the bool array `passes` is true, and 0 elsewhere, whatever x is there.

    Four times as fast as where(), and unlike x * passes right for infinity, since inf * 0 is nan. As
    an integer, -True is -1, whose bits are all ones: x & -1 is x, bit by bit, and x & 0 is 0.
    """
    bits = f"i{x.itemsize}"
    array_module(x).bitwise_and(x.view(bits), -passes.astype(bits), out=out.view(bits))


def matmul(a, b):
    """a @ b for matrices, a long axis of the result cut into pieces that all cores work through.

    BLAS can use all cores by itself, but its threads wait for each other by spinning: as soon as
    anything else runs on one of the cores, all of them lose the time.
    """
    if not isinstance(a, np.ndarray) or WORKERS == 1 or a.shape[0] * b.size < 64 * SMALL:
        return a @ b
    out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    if a.shape[0] > b.shape[1]:
        parallel_for(len(a), lambda i, j: np.matmul(a[i:j], b, out=out[i:j]), max(a, b, key=np.size))
    else:
        parallel_for(b.shape[1], lambda i, j: np.matmul(a, b[:, i:j], out=out[:, i:j]), max(a, b, key=np.size))
    return out


def keep_freed_memory():
    """Let this process keep memory that arrays give back, for the next arrays of that size.

    By default glibc returns large blocks to the system at once, and every training step then waits
    for the same memory to be found and cleared again, page by page. For programs that train; the
    price is that the process never shrinks. Does nothing where the C library is not glibc.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, largest = -1, -3, 2**31 - 1
        # An older glibc refuses more than 32 MB for the first, and answers 0.
        libc.mallopt(M_MMAP_THRESHOLD, largest) or libc.mallopt(M_MMAP_THRESHOLD, 2**25)
        libc.mallopt(M_TRIM_THRESHOLD, largest)


def scratch(name, shape, dtype):
    """An uninitialised NumPy array that this thread may use until it asks for `name` again.

    Fresh memory is slow memory: the system has to find and clear it, page by page.
    """
    buffers = _local.__dict__.setdefault("scratch", {})
    size = int(np.prod(shape))
    key = name, np.dtype(dtype)
    if key not in buffers or buffers[key].size < size:
        buffers[key] = np.empty(size, dtype)
    return buffers[key][:size].reshape(shape)
