"""The look-alike of cupy.cuda. What is queued on a stream is done at once, so there is nothing to wait for."""

import ctypes
import threading

from tinynet.emulator import device, launch
from tinynet.emulator.device import Device, MemoryPool

_local = threading.local()  # .streams: those that this thread has entered


class Names:
    """A module's look-alike, that says clearly which names it lacks."""

    def __init__(self, name, **members):
        self.__name__ = name
        self.__dict__.update(members)

    def __getattr__(self, name):
        raise missing(self.__name__, name)


def missing(module, name):
    return AttributeError(f"the emulator's {module} has no {name!r}; it has what tinynet needs, and CuPy has too")


class Event:
    done = True

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        pass

    def record(self, stream=None):
        pass

    def synchronize(self):
        pass


class Stream:
    done = True

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        pass

    def __enter__(self):
        _streams().append(self)
        return self

    def __exit__(self, *_):
        _streams().pop()

    def use(self):
        _streams()[-1] = self
        return self

    def record(self, event=None):
        return Event() if event is None else event

    def wait_event(self, event):
        pass

    def synchronize(self):
        pass


Stream.null = Stream()


def _streams():
    return _local.__dict__.setdefault("streams", [Stream.null])


def get_current_stream(device_id=-1):
    return _streams()[-1]


def alloc_pinned_memory(size):
    """A buffer of at least `size` bytes; as in CuPy, of more."""
    return (ctypes.c_uint8 * (-(-max(size, 1) // device.PIECE) * device.PIECE))()


def _can_access_peer(number, peer):
    return int(number != peer)


runtime = Names(
    "cuda.runtime",
    getDeviceCount=lambda: device.COUNT,
    getDevice=device.current,
    deviceCanAccessPeer=_can_access_peer,
    CUDARuntimeError=device.CUDARuntimeError,
)
memory = Names("cuda.memory", OutOfMemoryError=device.OutOfMemoryError, MemoryPool=MemoryPool)
compiler = Names("cuda.compiler", CompileException=launch.CompileException)
cuda = Names(
    "cuda", Device=Device, Event=Event, Stream=Stream, MemoryPool=MemoryPool, get_current_stream=get_current_stream,
    alloc_pinned_memory=alloc_pinned_memory, runtime=runtime, memory=memory, compiler=compiler,
)
