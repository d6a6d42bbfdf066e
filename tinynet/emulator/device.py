"""The emulated devices: which is current, how much memory each has given out, what moved between them."""

import threading
from collections import Counter
from contextlib import contextmanager

from tinynet.emulator import races

COUNT = 8
MEMORY = 16 * 2**30  # bytes of a device; only a figure, for the memory is the computer's
PIECE = 512  # CuPy's pool gives out multiples of this many bytes

_local = threading.local()  # .current: as in CUDA, every thread has its own
_lock = threading.RLock()  # for all figures; an array may be freed while this thread holds it


class CUDARuntimeError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


class Device:
    """An emulated GPU. `with Device(1):` makes it the current one, where new arrays and kernels belong."""

    compute_capability = "90"
    attributes = {"MultiProcessorCount": 16, "WarpSize": 32, "MaxThreadsPerBlock": 1024}

    def __init__(self, device=None):
        self.id = current() if device is None else int(device)

    def use(self):
        if not 0 <= self.id < COUNT:
            raise CUDARuntimeError(f"cudaErrorInvalidDevice: there is no emu:{self.id}, only emu:0 to emu:{COUNT - 1}")
        _local.current = self.id

    def __enter__(self):
        before = current()
        self.use()
        _local.__dict__.setdefault("entered", []).append(before)
        return self

    def __exit__(self, *_):
        _local.current = _local.entered.pop()

    def synchronize(self):
        for line in list(races.Line.every):
            if line.device == self.id:
                races.synchronize(line.clock)

    @property
    def mem_info(self):
        """(free, total) bytes."""
        return MEMORY - _figures[self.id].total, MEMORY

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self):
        return hash(self.id)

    def __int__(self):
        return self.id

    def __repr__(self):
        return f"<CUDA Device {self.id}>"


def current():
    """The number of this thread's current device."""
    return getattr(_local, "current", 0)


def name(number):
    return f"emu:{number}"


# ------------------------------------------------------------------------------ memory


class Figures:
    """Bytes of one device. used: in arrays; total: the most that was used since free_all_blocks."""

    def __init__(self):
        self.used = self.total = self.limit = 0


_figures = [Figures() for _ in range(COUNT)]


class MemoryPool:
    """CuPy's pool, of the current device, in figures: it keeps what arrays give back until free_all_blocks."""

    def used_bytes(self):
        return _figures[current()].used

    def total_bytes(self):
        return _figures[current()].total

    def free_bytes(self):
        return self.total_bytes() - self.used_bytes()

    def free_all_blocks(self, stream=None):
        with _lock:
            _figures[current()].total = _figures[current()].used

    def set_limit(self, size=None, fraction=None):
        if (size is None) == (fraction is None):
            raise ValueError("set_limit takes either size, in bytes, or fraction, of the device's memory")
        _figures[current()].limit = int(fraction * MEMORY if size is None else size)

    def get_limit(self):
        return _figures[current()].limit


class Memory:
    """What a device has given out for an array. Its views share it; it goes back with the last of them."""

    def __init__(self, device_id, size):
        self.device_id, self.size, self.history = device_id, 0, None
        size = -(-size // PIECE) * PIECE
        figures = _figures[device_id]
        with _lock:
            if 0 < figures.limit < figures.used + size:
                raise OutOfMemoryError(
                    f"Out of memory allocating {size:,} bytes (allocated so far: {figures.used:,} bytes, "
                    f"limit set to: {figures.limit:,} bytes)."
                )
            self.size = size
            figures.used += size
            figures.total = max(figures.total, figures.used)

    @property
    def what(self):
        return f"{self.size} bytes of {name(self.device_id)}"

    def __del__(self):
        with _lock:
            _figures[self.device_id].used -= self.size


# ------------------------------------------------------------------------------ transfers

_counters = []  # one for each `with transfers()` that is open


@contextmanager
def transfers():
    """Counts the bytes that travel meanwhile: {(from, to): bytes}, between "cpu", "emu:0", "emu:1", ..."""
    counter = Counter()
    _counters.append(counter)
    try:
        yield counter
    finally:
        _counters[:] = [other for other in _counters if other is not counter]


def moved(source, target, size):
    for counter in _counters:
        counter[source, target] += size
