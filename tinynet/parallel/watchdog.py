"""Who is missing: waiting for other ranks without waiting forever.

A rank that does not come to where the others are is named after `timeout` seconds. A rank that has waited for half
of that reports so to all others, again and again; a rank that has reported nothing by then is the missing one.

The same messages serve at the end of a run: a rank that fails tells the others why, and hears who else failed.
"""

import json
import math
import time

import numpy as np

from tinynet.errors import RunError

WAITING, FAILED = 0, 1  # the tags of messages
GRACE = 3.0  # seconds in which ranks that fail for one reason hear of each other


class Watchdog:
    """comm: mpi4py's communicator; its messages travel on a duplicate, apart from the program's own."""

    def __init__(self, mpi, comm, timeout):
        self.mpi, self.comm, self.timeout = mpi, comm.Dup(), timeout
        self.others = [rank for rank in range(comm.size) if rank != comm.rank]
        self.sent = []  # requests that are not done, whose buffers must live

    def wait(self, request):
        """Wait until an MPI request is done, and return the seconds; RunError names who is missing after `timeout`."""
        start = time.monotonic()
        beat, heard = self.timeout / 2, {self.comm.rank: math.inf}  # heard: rank -> when, after `start`
        while not request.Test():
            waited = time.monotonic() - start
            if waited > beat:
                beat += self.timeout / 16
                self.tell(WAITING, b"")
                heard |= {rank: waited for rank, _ in self.messages(WAITING)}
            if waited > self.timeout:
                raise self.missing({rank for rank, at in heard.items() if at > 0.75 * self.timeout})
            time.sleep(0 if waited < 0.1 else 0.001)  # 0: lets others compute, if they want this core
        return time.monotonic() - start

    def missing(self, waiting):
        others = [f"rank {rank}" for rank in range(self.comm.size) if rank not in waiting]
        line = f"no word from {' and '.join(others) or 'any rank'} for {self.timeout:g} s: the others stop"
        return RunError(line, 1)

    def last_words(self, line):
        """{rank: line} of the ranks that fail together with this one. Returns at once if all do, else after GRACE."""
        self.tell(FAILED, json.dumps(line).encode())
        lines, deadline = {self.comm.rank: line}, time.monotonic() + GRACE
        while len(lines) < self.comm.size and time.monotonic() < deadline:
            lines |= {rank: json.loads(text) for rank, text in self.messages(FAILED)}
            time.sleep(0.001)
        return lines

    def tell(self, tag, text):
        text = np.frombuffer(text, np.uint8)
        self.sent = [request for request in self.sent if not request.Test()]
        self.sent += [self.comm.Isend(text, rank, tag) for rank in self.others]

    def messages(self, tag):
        """(rank, text) of the messages that are here, those of earlier waits included."""
        status = self.mpi.Status()
        while self.comm.Iprobe(tag=tag, status=status):
            text = np.empty(status.Get_count(self.mpi.BYTE), np.uint8)
            self.comm.Recv(text, status.source, tag)
            yield status.source, text.tobytes()
