"""How kernels run: fast, or so that mistakes show."""

from contextlib import contextmanager
from dataclasses import dataclass, replace

from tinynet.emulator import races


@dataclass(frozen=True)
class Mode:
    sanitize: bool = False
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
    shuffle=seed    blocks, and threads between barriers, in a random order that the seed determines
    debug=True      compiled without optimization, one thread after the other, for a debugger
    streams=True    StreamError where work on two streams uses the same memory and nothing orders it: see races.py
    """
    global _current
    before = _current
    new = replace(before, **changes)
    if new.sanitize and new.debug:
        raise ValueError("emulator.mode: either sanitize or debug, not both")
    if new.shuffle is not None and not (isinstance(new.shuffle, int) and 0 <= new.shuffle < 2**63):
        raise ValueError(f"emulator.mode: shuffle is a seed, an int of at least 0, or None; got {new.shuffle!r}")
    if new.streams and not before.streams:
        races.begin()
    _current = new
    try:
        yield
    finally:
        _current = before
