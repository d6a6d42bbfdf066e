"""Whether all the work on some memory has an order that a GPU must keep: mode(streams=True).

The emulator does at once what is queued, one piece after the other. On GPUs each stream goes at its own pace, and
two pieces of work on different streams have an order only if one waits for the other: through an event, or
because the host waited in between. So each stream counts its pieces, and knows how far the others have come
at least when its own next piece begins (a vector clock: Lamport 1978, Mattern 1988). An event carries that
knowledge from stream to stream. Then for each piece of memory:

    who reads    must know   the last write
    who writes   must know   the last write, and all that was read since
    a pool that gives out memory again must know all that was done with it before

Whoever does not know it might have been too early, on some day, on some GPU: StreamError, on the first day.
"""

import weakref
from collections import Counter


class StreamError(RuntimeError):
    """Two pieces of work on the same memory, and nothing that makes the second wait for the first."""


class Line:
    """The pieces of work that stand in line on one stream."""

    every = weakref.WeakSet()

    def __init__(self, name, device=None):
        self.name, self.device = name, device
        self.clock = Counter()  # {line: n}: the first n pieces of that line are done when the next one here begins
        self.freed = Counter()  # likewise, what was done with memory that is back in this stream's pool
        Line.every.add(self)

    def wait(self, clock):
        self.clock |= clock  # the larger number of each

    def check(self, does, what, past):
        for other, n in past.items():
            if self.clock[other] < n:
                raise StreamError(f"{self.name} {does} {what}, and does not wait for {other.name}, which uses them too")


HOST = Line("the host")  # its knowledge is every stream's: what it queues now comes after what it has waited for


def synchronize(clock):
    """The host waits."""
    HOST.wait(clock)


def begin():
    """What was queued before mode(streams=True) is done."""
    for line in list(Line.every):
        HOST.wait({line: line.clock[line]})


class History:
    """Of one piece of memory. pool: the line on which it was given out, and goes back; pinned memory is the host's."""

    def __init__(self, what, pool):
        self.what, self.pool = what, pool
        self.written, self.read = Counter(), Counter()

    def given_out(self):
        self.pool.wait(HOST.clock)
        self.pool.check("is given", self.what, self.pool.freed)
        self.written |= self.pool.freed  # any other stream that uses it has to know that too

    def given_back(self):
        self.pool.freed |= self.written | self.read


def work(line, reads, writes):
    """A piece of work is queued on `line` that reads and writes the memory of these histories."""
    line.wait(HOST.clock)
    line.clock[line] += 1
    this = Counter({line: line.clock[line]})
    for history in reads:
        line.check("reads", history.what, history.written)
        history.read |= this
    for history in writes:
        line.check("writes", history.what, history.written | history.read)
        history.written, history.read = this, Counter()
