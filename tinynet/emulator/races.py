"""Finds work on the same memory that nothing puts in order: mode(streams=True).

The emulator does all work at once, in the order of the program. On GPUs each stream goes at its own pace, and two
operations on different streams are ordered only if one waits for the other: through an event, or because the host
waited in between. So each stream has a vector clock (Lamport 1978, Mattern 1988): it counts its own operations, and
knows how many of every other stream's are certainly done when its next one begins. An event carries a clock from
stream to stream. Then, for each block of memory:

    a read          must come after the last write
    a write         must come after the last write, and after all reads since
    an allocation   must come after everything that was done with the memory before it was freed

Where the clock does not guarantee that, some GPU might be too early on some day. Here it is a StreamError at once.
"""

import weakref
from collections import Counter


class StreamError(RuntimeError):
    """Two operations on the same memory, and nothing that makes the second wait for the first."""


class Timeline:
    """The operations on one stream, or on the host, and the stream's vector clock."""

    every = weakref.WeakSet()

    def __init__(self, name, device_id=None):
        self.name, self.device_id = name, device_id
        self.clock = Counter()  # {timeline: n}: its first n operations are done when the next one here begins
        self.freed = Counter()  # likewise, what was done with memory before it went back to this stream's pool
        Timeline.every.add(self)

    def wait(self, clock):
        self.clock |= clock  # the larger number of each

    def check(self, does, what, past):
        for other, n in past.items():
            if self.clock[other] < n:
                raise StreamError(f"{self.name} {does} {what} without waiting for {other.name}, which uses them too")


HOST = Timeline("the host")  # every stream's clock includes it: what the host queues comes after what it waited for


def synchronize(clock):
    """The host waits."""
    HOST.wait(clock)


def begin():
    """Counts as done what was queued before mode(streams=True)."""
    for timeline in list(Timeline.every):
        HOST.wait({timeline: timeline.clock[timeline]})


class History:
    """The accesses to one block of memory. pool: the timeline that allocates and frees it; pinned memory: HOST."""

    def __init__(self, what, pool):
        self.what, self.pool = what, pool
        self.written, self.read = Counter(), Counter()

    def on_allocate(self):
        self.pool.wait(HOST.clock)
        self.pool.check("is given", self.what, self.pool.freed)
        self.written |= self.pool.freed  # any other stream that uses the memory has to wait for that too

    def on_free(self):
        self.pool.freed |= self.written | self.read


def work(timeline, reads, writes):
    """Queues an operation that reads and writes the memory of these histories."""
    timeline.wait(HOST.clock)
    timeline.clock[timeline] += 1
    this = Counter({timeline: timeline.clock[timeline]})
    for history in reads:
        timeline.check("reads", history.what, history.written)
        history.read |= this
    for history in writes:
        timeline.check("writes", history.what, history.written | history.read)
        history.written, history.read = this, Counter()
