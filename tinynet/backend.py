"""Arrays and devices: the one place that knows which array library and which processor is in use.

A device is a string: `cpu`; `cuda:0`, `cuda:1`, ...; or `emu:0`, `emu:1`, ..., GPUs that this program
emulates (tinynet/emulator/). The array decides the library: NumPy arrays live on `cpu`, CuPy arrays on
the GPU that holds them, the emulator's on theirs. Layer code asks `xp = array_module(x)` and then reads
the same for all. CuPy is imported here, at first need, and nowhere else.

NumPy runs element-wise work on one core, but lets go of Python's lock while it does. `parallel_for`
uses that: it cuts a loop over a batch into pieces that a few threads work through.
"""

import contextlib
import ctypes
import functools
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

from tinynet import cuda_driver, emulator, gpu_copies

# ---------------------------------------------------------------------------- arrays and devices


@functools.cache  # an error is not cached
def cupy():
    """The CuPy module; where it cannot be used, RuntimeError with one line that says why."""
    module = cuda_driver.load_cupy()
    if _tf32:
        _set_products(module)
    return module


def array_module(x):
    """The library that `x` belongs to: numpy, cupy or the emulator."""
    if isinstance(x, np.ndarray | np.generic):
        return np
    if isinstance(x, emulator.xp.ndarray):
        return emulator.xp
    if type(x).__module__.partition(".")[0] == "cupy":
        return cupy()
    raise TypeError(f"expected a NumPy, CuPy or emulated array, got {type(x).__name__}")


def on_gpu(x):
    """Whether the array `x` is where CUDA kernels run: on a GPU or an emulated one."""
    return not isinstance(x, np.ndarray)


def device_of(x):
    """The device that holds the array `x`, as a string."""
    if isinstance(x, np.ndarray | np.generic):
        return "cpu"
    kind = "emu" if isinstance(x, emulator.xp.ndarray) else "cuda"
    return f"{kind}:{x.device.id}"


def check_device(device):
    """Return `device` if it names one; otherwise ValueError."""
    if isinstance(device, str):
        kind, colon, number = device.partition(":")
        if device == "cpu" or (kind in ("cuda", "emu") and colon and number.isdecimal()):
            return device
    raise ValueError(f"device must be 'cpu', 'cuda:<number>' or 'emu:<number>', got {device!r}")


def library(device):
    """The array library of a device: numpy, cupy or the emulator. RuntimeError if it is not there."""
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


_nothing = contextlib.nullcontext()  # one serves all: it holds no state


def use_device(device):
    """A context in which new arrays and kernels belong to `device`."""
    if device == "cpu":
        return _nothing
    return library(device).cuda.Device(int(device.partition(":")[2]))


def to_device(x, device):
    """The array `x` on `device`: itself if it is there already, else a copy."""
    here = device_of(x)
    if here == check_device(device):
        return x
    library_here, there = array_module(x), library(device)
    if there is library_here:
        return gpu_copies.copy(there, x, *(int(name.partition(":")[2]) for name in (here, device)))
    x = library_here.asnumpy(x) if here != "cpu" else x
    if there is np:
        return x
    with use_device(device):
        return there.asarray(x)


_tf32 = False


def allow_tf32(on=True):
    """Let GPUs of compute capability 8.0 and later use their tensor cores for float32: off at the start.

    They round the factors of convolutions and matrix products to TF32, 10 bits behind the point where
    float32 has 23, and add up in float32: several times as fast, to about three digits.
    """
    global _tf32
    _tf32 = bool(on)
    if cupy.cache_info().currsize:
        _set_products(cupy())


def tf32_allowed():
    return _tf32


def _set_products(cupy):
    """CuPy's own matrix products (cuBLAS) do likewise. There is no public name for that."""
    linalg = importlib.import_module("cupy._core._routines_linalg")
    kind = linalg.COMPUTE_TYPE_TF32 if _tf32 else linalg.COMPUTE_TYPE_DEFAULT
    linalg.set_compute_type(np.float32, kind)


def memory(device):
    """(bytes that the pool of a GPU holds, bytes that the GPU has)."""
    with use_device(device) as gpu:
        return library(device).get_default_memory_pool().total_bytes(), gpu.mem_info[1]


# ---------------------------------------------------------------------------- randomness

_generator = np.random.Generator(np.random.PCG64(0))


def generator():
    """The one random generator of initializers and dropout; a checkpoint holds its state."""
    return _generator


def manual_seed(seed):
    """Start the generator again from `seed`: the same seed on the same device gives the same bits."""
    _generator.bit_generator.state = np.random.PCG64(seed).state


# ---------------------------------------------------------------------------- threads



def usable_cores():
    """How many cores this process may run on: fewer than the machine has, in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


WORKERS = usable_cores()
SMALL = 2**14  # elements: fewer are not worth waking a thread for
BLOCK = 2**18  # elements: small enough to stay in cache, large enough to be worth a call
_local = threading.local()  # .busy: this thread works for a parallel_for; .workspace: its buffers


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


def use_cores(count):
    """Work with so many threads from now on: for processes that share a machine."""
    global WORKERS
    WORKERS = max(1, count)
    threadpoolctl.threadpool_limits(WORKERS)


def bounds(n, parts):
    """Cut range(n) into `parts` runs: [(start, stop), ...], whose lengths differ by one at most; some may be empty."""
    edges = [n * i // parts for i in range(parts + 1)]
    return list(itertools.pairwise(edges))


def blocks(start, stop, x):
    """The images start to stop of x, as slices of a few at a time: about BLOCK numbers, at least one image."""
    step = max(1, BLOCK * len(x) // max(x.size, 1))
    return [slice(i, min(i + step, stop)) for i in range(start, stop, step)]


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
    todo = deque(bounds(n, min(n, 4 * WORKERS)))  # more pieces than workers: a slow core gets fewer

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
    on = max(a, b, key=np.size)
    if a.shape[0] > b.shape[1]:
        parallel_for(len(a), lambda i, j: np.matmul(a[i:j], b, out=out[i:j]), on)
    elif b.flags.f_contiguous and len(a) < len(b):
        # x @ w.T as (w @ x.T).T: with the larger matrix first BLAS takes a third less time at 32 rows of x.
        parallel_for(b.shape[1], lambda i, j: np.copyto(out[:, i:j], (b[:, i:j].T @ a.T).T), on)
    else:
        parallel_for(b.shape[1], lambda i, j: np.matmul(a, b[:, i:j], out=out[:, i:j]), on)
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


def workspace(name, shape, dtype):
    """An uninitialized NumPy array that this thread may use until it asks for `name` again.

    Fresh memory is slow memory: the system has to find and clear it, page by page.
    """
    buffers = _local.__dict__.setdefault("workspace", {})
    size = int(np.prod(shape))
    key = name, np.dtype(dtype)
    if key not in buffers or buffers[key].size < size:
        buffers[key] = np.empty(size, dtype)
    return buffers[key][:size].reshape(shape)
