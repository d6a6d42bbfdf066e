"""The look-alike of cupy.cuda."""

import ctypes

from tinynet.emulator import device, launch, streams
from tinynet.emulator.device import Device, MemoryPool
from tinynet.emulator.streams import Event, Stream, get_current_stream


class Names:
    """A module's look-alike, that says clearly which names it lacks."""

    def __init__(self, name, **members):
        self.__name__ = name
        self.__dict__.update(members)

    def __getattr__(self, name):
        raise missing(self.__name__, name)


def missing(module, name):
    return AttributeError(f"the emulator's {module} has no {name!r}; it has what tinynet needs, and CuPy has too")


def alloc_pinned_memory(size):
    """A buffer of at least `size` bytes; as in CuPy, of more."""
    memory = (ctypes.c_uint8 * (-(-max(size, 1) // device.PIECE) * device.PIECE))()
    memory.history, memory.device_id, memory.what = None, None, f"{len(memory)} bytes of pinned memory"
    streams.given_out(memory)
    return memory


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
