"""Work on all cores: NumPy does element-wise work on one, but releases Python's lock meanwhile.

`parallel_for` makes use of that: it cuts a loop, often over the images of a batch, into pieces for a few threads.
"""

import contextlib
import itertools
import math
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import threadpoolctl

from tinynet.backend.devices import array_module

SMALL = 2**14  # elements: fewer are not worth waking a thread for
BLOCK = 2**18  # elements: small enough to stay in cache, large enough to be worth a call


def usable_cores():
    """How many cores this process may run on: fewer than the machine has, in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_num_threads = usable_cores()
_local = threading.local()  # .busy: this thread is inside a parallel_for


class _Threads:
    """The pool and BLAS's thread count, set up at first use so that importing stays quick."""

    def __init__(self):
        self.lock = threading.Lock()  # one parallel_for at a time: BLAS's thread count is global
        self.pool = None
        self.limit = None  # while a parallel_for holds BLAS to one thread: what puts its number back

    def start(self):
        self.pool = ThreadPoolExecutor(max(_num_threads - 1, 1), thread_name_prefix="tinynet")
        self.blas = threadpoolctl.ThreadpoolController().select(user_api="blas")

    @contextlib.contextmanager
    def blas_held_to_one(self):
        with self.blas.limit(limits=1) as self.limit:
            try:
                yield
            finally:
                self.limit = None

    def start_again(self):
        """In a forked child, which has none of its parent's threads and is in none of its loops."""
        if self.limit is not None:
            self.limit.restore_original_limits()
            _let_any_thread_limit_blas()
        _local.busy = False
        self.__init__()


_threads = _Threads()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.start_again)


def _let_any_thread_limit_blas():
    """From threadpoolctl 3.8 on, the thread that set OpenBLAS's number is the only one that may, until it says so."""
    getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", lambda: None)()


def num_threads():
    """How many threads tinynet works with; at first, as many as this process may use cores."""
    return _num_threads


def set_num_threads(n):
    """Work with n threads from now on, BLAS included: for processes that share a machine."""
    global _num_threads
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
        raise ValueError(f"set_num_threads: n must be an integer of at least 1, got {n!r}")
    with _threads.lock:
        _num_threads = int(n)
        if _threads.pool is not None:  # the next parallel_for starts one of the new size
            _threads.pool.shutdown()
            _threads.pool = None
        threadpoolctl.threadpool_limits(_num_threads)
        _let_any_thread_limit_blas()


def bounds(n, parts):
    """Cut range(n) into `parts` runs, [(start, stop), ...], whose lengths differ by one at most; some may be empty."""
    edges = [n * i // parts for i in range(parts + 1)]
    return list(itertools.pairwise(edges))


def blocks(start, stop, x):
    """Images start to stop of x, as slices of a few at a time: about BLOCK numbers, at least one image."""
    step = max(1, BLOCK * len(x) // max(x.size, 1))
    return [slice(i, min(i + step, stop)) for i in range(start, stop, step)]


def parallel_for(n, body, on):
    """Call `body(start, stop)` over pieces of range(n), on all cores if `on` is a NumPy array.

    The pieces run in any order, on any thread, so each must write to its own part of the result. Meanwhile BLAS is
    held to one thread per worker: many small products side by side keep the cores busier than each product cut in
    two. A GPU is parallel anyway and gets one call, and so does an array too small to be worth waking a thread for.
    """
    threads = _num_threads
    alone = threads == 1 or n < 2 or getattr(_local, "busy", False)
    if alone or not isinstance(on, np.ndarray) or on.size < SMALL:
        body(0, n)
        return
    todo = deque(bounds(n, min(n, 4 * threads)))  # more pieces than workers: a slow core takes fewer

    def work():
        with _marked_busy():
            while todo:
                try:
                    piece = todo.popleft()
                except IndexError:  # another thread took the last one in the meantime
                    return
                body(*piece)

    with _threads.lock:
        if _threads.pool is None:
            _threads.start()
        others, pool = [], _threads.pool
        with _threads.blas_held_to_one():
            try:
                others += [pool.submit(work) for _ in range(threads - 1)]
                work()
            finally:  # also after an error or Ctrl-C here: no thread may outlive the call
                todo.clear()
                if _threads.pool is pool:  # not so in a child that the body forked: the others are not there
                    wait(others)
                else:
                    others.clear()
        for other in others:
            other.result()


@contextlib.contextmanager
def _marked_busy():
    _local.busy = True
    try:
        yield
    finally:
        _local.busy = False


def elementwise(body, *xs):
    """Call `body(y, *xs)`, which fills y element by element, in parallel; return y.

    xs: arrays of one shape; y: a new array of that shape and of the first one's dtype. Large arrays reach the body
    as flat pieces, on several threads, so it may use its arguments but no whole array from outside. Its
    temporaries are as small as one block, and stay in cache.
    """
    y = array_module(xs[0]).empty(xs[0].shape, xs[0].dtype)
    update_elementwise(body, y, *xs)
    return y


def update_elementwise(body, *arrays):
    """Call `body(*arrays)`, which works element by element and in place, block by block in parallel."""
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
    """out = x where the bool array `passes` is true and 0 elsewhere, whatever x is there.

    Four times as fast as where(), and right for infinity, unlike x * passes, since inf * 0 is nan. As an integer,
    -True is -1, whose bits are all ones: x & -1 is x, bit by bit, and x & 0 is 0.
    """
    bits = f"i{x.itemsize}"
    array_module(x).bitwise_and(x.view(bits), -passes.astype(bits), out=out.view(bits))


def matmul(a, b):
    """a @ b. The product of two large matrices is cut along a long axis into pieces for all cores.

    BLAS could use all cores without our help, but its threads wait for each other by spinning: as soon as
    anything else runs on one of the cores, all of them lose time. Both ops that multiply matrices, linear and
    matmul, come here, so that x @ w.T + b is F.linear(x, w, b) to the bit: how a product is cut decides how its
    sums are rounded. (A plain @ in both would change the losses of every network made of Linear.)
    """
    matrices = isinstance(a, np.ndarray) and a.ndim == b.ndim == 2
    if not matrices or _num_threads == 1 or len(a) * b.size < 64 * SMALL:
        return a @ b
    out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    on = max(a, b, key=np.size)
    if a.shape[0] > b.shape[1]:
        parallel_for(len(a), lambda i, j: np.matmul(a[i:j], b, out=out[i:j]), on)
    elif b.flags.f_contiguous and len(a) < len(b):
        # x @ w.T as (w @ x.T).T: with the larger matrix first, BLAS takes a third less time at 32 rows of x.
        parallel_for(b.shape[1], lambda i, j: np.copyto(out[:, i:j], (b[:, i:j].T @ a.T).T), on)
    else:
        parallel_for(b.shape[1], lambda i, j: np.matmul(a, b[:, i:j], out=out[:, i:j]), on)
    return out
