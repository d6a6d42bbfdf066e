"""Stand-ins for cupy.cuda's Stream and Event. All work is done at once; races.py records on which stream it was."""

import threading
import weakref

from tinynet.emulator import device, modes, races

_local = threading.local()  # .entered: {device id: the streams that this thread has entered there}
_null = [races.Timeline(f"the null stream of {device.name(i)}", i) for i in range(device.COUNT)]


class Event:
    done = True

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self._device = device.current()
        self._clock = {}  # not recorded yet: nothing to wait for

    def record(self, stream=None):
        there = timeline(stream)
        if there.device_id != self._device:
            raise device.CUDARuntimeError(
                f"cudaErrorInvalidResourceHandle: an event of {device.name(self._device)} is recorded on {there.name}"
            )
        self._clock = dict(there.clock)

    def synchronize(self):
        races.synchronize(self._clock)


class Stream:
    """A stream of the current device. `Stream.null` is the null stream of whichever device is current when it is used.

    In CUDA a stream that is not non_blocking and the null stream also wait for each other. Not here: use events.
    """

    done = True

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        here = device.current()
        self._timeline = None if null else races.Timeline(f"a stream of {device.name(here)}", here)

    def _check(self):
        mine, here = timeline(self), device.current()
        if mine.device_id != here:
            raise RuntimeError(f"{mine.name} cannot be used while {device.name(here)} is current")

    def __enter__(self):
        self._check()
        entered().append(self)
        _local.__dict__.setdefault("where", []).append(device.current())
        return self

    def __exit__(self, *_):
        entered(_local.where.pop()).pop()

    def use(self):
        self._check()
        entered()[-1] = self
        return self

    def record(self, event=None):
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        timeline(self).wait(event._clock)

    def synchronize(self):
        races.synchronize(timeline(self).clock)


Stream.null = Stream(null=True)


def entered(device_id=None):
    """The streams that this thread has entered on a device, by default the current one. The last is current."""
    device_id = device.current() if device_id is None else device_id
    return _local.__dict__.setdefault("entered", {}).setdefault(device_id, [Stream.null])


def get_current_stream(device_id=-1):
    return entered(None if device_id == -1 else device_id)[-1]


def timeline(stream=None, device_id=None):
    """A stream's timeline, by default the current stream's. device_id: whose null stream, by default the current's."""
    device_id = device.current() if device_id is None else device_id
    stream = entered()[-1] if stream is None else stream
    return _null[device_id] if stream._timeline is None else stream._timeline


def record_work(on, reads=(), writes=()):
    """Records an operation on the timeline `on` that reads and writes this memory, of arrays or pinned."""
    if modes.current().streams:
        races.work(on, [history(memory) for memory in reads], [history(memory) for memory in writes])


def record_allocation(memory):
    """Records that this memory now belongs to an array, or is pinned."""
    if modes.current().streams:
        history(memory).on_allocate()


def history(memory):
    if memory.history is None:
        device_id = memory.device_id
        pool = races.HOST if device_id is None else timeline(entered(device_id)[-1], device_id)
        memory.history = races.History(memory.what, pool)
        weakref.finalize(memory, memory.history.on_free)
    return memory.history
