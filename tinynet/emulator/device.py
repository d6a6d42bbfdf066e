"""The emulated devices: which one is current, how much memory each has allocated, and what moves between them."""

import threading
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace

from tinynet.emulator import races

COUNT = 8
MEMORY = 16 * 2**30  # bytes per device; nominal, since the memory is the computer's
ALLOCATION_UNIT = 512  # bytes; CuPy's pool allocates multiples of it

_local = threading.local()  # .current: as in CUDA, each thread has its own
_lock = threading.RLock()  # of the statistics; reentrant, since an array may be freed while this thread holds it


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
        for timeline in list(races.Timeline.every):
            if timeline.device_id == self.id:
                races.synchronize(timeline.clock)

    @property
    def mem_info(self):
        """(free, total) bytes."""
        return MEMORY - _statistics[self.id].total, MEMORY

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self):
        return hash(self.id)

    def __int__(self):
        return self.id

    def __repr__(self):
        return f"<CUDA Device {self.id}>"


def current():
    """The id of this thread's current device."""
    return getattr(_local, "current", 0)


def name(device_id):
    return f"emu:{device_id}"


# ------------------------------------------------------------------------------ memory


def round_up(size):
    return -(-size // ALLOCATION_UNIT) * ALLOCATION_UNIT


# Bytes on each device. used: in arrays; total: the largest `used` since free_all_blocks; limit: 0 for none.
_statistics = [SimpleNamespace(used=0, total=0, limit=0) for _ in range(COUNT)]


class MemoryPool:
    """The statistics of CuPy's pool on the current device, which keeps freed memory until free_all_blocks."""

    def used_bytes(self):
        return _statistics[current()].used

    def total_bytes(self):
        return _statistics[current()].total

    def free_bytes(self):
        return self.total_bytes() - self.used_bytes()

    def free_all_blocks(self, stream=None):
        with _lock:
            _statistics[current()].total = _statistics[current()].used

    def set_limit(self, size=None, fraction=None):
        if (size is None) == (fraction is None):
            raise ValueError("set_limit takes either size, in bytes, or fraction, of the device's memory")
        _statistics[current()].limit = int(fraction * MEMORY if size is None else size)

    def get_limit(self):
        return _statistics[current()].limit


class Memory:
    """Memory that a device has allocated for an array. Views share it, and the last one to go frees it."""

    def __init__(self, device_id, size):
        self.device_id, self.size, self.history = device_id, 0, None
        size = round_up(size)
        statistics = _statistics[device_id]
        with _lock:
            if 0 < statistics.limit < statistics.used + size:
                raise OutOfMemoryError(
                    f"Out of memory allocating {size:,} bytes (allocated so far: {statistics.used:,} bytes, "
                    f"limit set to: {statistics.limit:,} bytes)."
                )
            self.size = size
            statistics.used += size
            statistics.total = max(statistics.total, statistics.used)

    @property
    def what(self):
        return f"{self.size} bytes of {name(self.device_id)}"

    def __del__(self):
        with _lock:
            _statistics[self.device_id].used -= self.size


# ------------------------------------------------------------------------------ transfers

_counters = []  # one for each open `with transfers()`


@contextmanager
def transfers():
    """Counts the bytes copied meanwhile, as {(from, to): bytes} between "cpu", "emu:0", "emu:1", ..."""
    counter = Counter()
    _counters.append(counter)
    try:
        yield counter
    finally:
        _counters[:] = [other for other in _counters if other is not counter]


def record_transfer(source, target, size):
    for counter in _counters:
        counter[source, target] += size
