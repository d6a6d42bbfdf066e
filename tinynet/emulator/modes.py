"""How kernels run: fast, or so that mistakes show."""

from contextlib import contextmanager
from dataclasses import dataclass, replace

from tinynet.emulator import races


@dataclass(frozen=True)
class Mode:
    sanitize: bool = False
    racecheck: bool = False
    shuffle: int | None = None
    debug: bool = False
    streams: bool = False


_current = Mode()


def current():
    return _current


@contextmanager
def mode(**changes):
    """How all kernels of this process run meanwhile. What is not given stays as it is.

    sanitize=True   under the address and undefined-behavior sanitizers, in a separate process
    racecheck=True  KernelError where two threads use the same memory, one of them writes, and no barrier orders them;
                    and where one reads shared memory that no thread of its block has written: see racecheck.py
    shuffle=seed    blocks, and threads between barriers, in a random order that the seed determines
    debug=True      compiled without optimization, one thread after the other, for a debugger
    streams=True    StreamError where work on two streams uses the same memory and nothing orders it: see races.py
    """
    global _current
    before = _current
    new = replace(before, **changes)
    if new.sanitize + new.racecheck + new.debug > 1:
        raise ValueError("emulator.mode: only one of sanitize, racecheck and debug at a time")
    if new.shuffle is not None and not (isinstance(new.shuffle, int) and 0 <= new.shuffle < 2**63):
        raise ValueError(f"emulator.mode: shuffle is a seed, an int of at least 0, or None; got {new.shuffle!r}")
    if new.streams and not before.streams:
        races.begin()
    _current = new
    try:
        yield
    finally:
        _current = before
