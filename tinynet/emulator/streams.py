"""The look-alikes of cupy.cuda's Stream and Event: work is done at once, and races.py notes on which stream it was."""

import threading
import weakref

from tinynet.emulator import device, modes, races

_local = threading.local()  # .entered: {device: the streams that this thread has entered there}
_null = [races.Line(f"the null stream of {device.name(i)}", i) for i in range(device.COUNT)]


class Event:
    done = True

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self._device = device.current()
        self._clock = {}  # never recorded: nothing to wait for

    def record(self, stream=None):
        at = line(stream)
        if at.device != self._device:
            raise device.CUDARuntimeError(
                f"cudaErrorInvalidResourceHandle: an event of {device.name(self._device)} is recorded on {at.name}"
            )
        self._clock = dict(at.clock)

    def synchronize(self):
        races.synchronize(self._clock)


class Stream:
    """Of the current device. `Stream.null` is of each device: of the one that is current when it is used.

    In CUDA a stream that is not non_blocking also waits for the null stream, and it for them. Not here: use events.
    """

    done = True

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        here = device.current()
        self._line = None if null else races.Line(f"a stream of {device.name(here)}", here)

    def _check(self):
        if line(self).device != device.current():
            raise RuntimeError(f"{line(self).name} cannot be used while {device.name(device.current())} is current")

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
        line(self).wait(event._clock)

    def synchronize(self):
        races.synchronize(line(self).clock)


Stream.null = Stream(null=True)


def entered(number=None):
    """The streams that this thread has entered on a device; the last is current."""
    number = device.current() if number is None else number
    return _local.__dict__.setdefault("entered", {}).setdefault(number, [Stream.null])


def get_current_stream(device_id=-1):
    return entered(None if device_id == -1 else device_id)[-1]


def line(stream=None, number=None):
    """races.py's account of a stream, by default the current one; null's is that of device `number`, or the current."""
    number = device.current() if number is None else number
    stream = entered()[-1] if stream is None else stream
    return _null[number] if stream._line is None else stream._line


def queued(line, reads=(), writes=()):
    """Tells races.py of work on `line` that reads and writes this memory: of arrays, or pinned memory."""
    if modes.current().streams:
        races.work(line, [history(memory) for memory in reads], [history(memory) for memory in writes])


def given_out(memory):
    """Tells races.py that this memory is an array's from now on, or the host's."""
    if modes.current().streams:
        history(memory).given_out()


def history(memory):
    if memory.history is None:
        number = memory.device_id
        pool = races.HOST if number is None else line(entered(number)[-1], number)
        memory.history = races.History(memory.what, pool)
        weakref.finalize(memory, memory.history.given_back)
    return memory.history
