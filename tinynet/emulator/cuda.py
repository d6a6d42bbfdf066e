"""A stand-in for cupy.cuda."""

import ctypes

from tinynet.emulator import device, launch, streams
from tinynet.emulator.device import Device, MemoryPool
from tinynet.emulator.streams import Event, Stream, get_current_stream


class Namespace:
    """A stand-in for a module, with a clear error for names that it lacks."""

    def __init__(self, name, **members):
        self.__name__ = name
        self.__dict__.update(members)

    def __getattr__(self, name):
        raise missing(self.__name__, name)


def missing(module, name):
    return AttributeError(f"the emulator's {module} has no {name!r}, only those of CuPy's names that tinynet needs")


def alloc_pinned_memory(size):
    """A buffer of at least `size` bytes, rounded up as in CuPy."""
    memory = (ctypes.c_uint8 * device.round_up(max(size, 1)))()
    memory.history, memory.device_id, memory.what = None, None, f"{len(memory)} bytes of pinned memory"
    streams.record_allocation(memory)
    return memory


runtime = Namespace(
    "cuda.runtime",
    getDeviceCount=lambda: device.COUNT,
    getDevice=device.current,
    deviceCanAccessPeer=lambda device_id, peer: int(device_id != peer),
    CUDARuntimeError=device.CUDARuntimeError,
)
memory = Namespace("cuda.memory", OutOfMemoryError=device.OutOfMemoryError, MemoryPool=MemoryPool)
compiler = Namespace("cuda.compiler", CompileException=launch.CompileException)
cuda = Namespace(
    "cuda", Device=Device, Event=Event, Stream=Stream, MemoryPool=MemoryPool, get_current_stream=get_current_stream,
    alloc_pinned_memory=alloc_pinned_memory, runtime=runtime, memory=memory, compiler=compiler,
)
