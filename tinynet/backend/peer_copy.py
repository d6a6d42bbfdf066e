"""Copies from one GPU to another: queued on their streams, ordered by events, while the host goes on.

    stream of the source    ... makes x, event 1 |                     | waits for event 2, may write to x's memory ...
    stream of the target    ... waits for event 1 | copies x, event 2  | uses the copy ...

Where peer copies do not work, or damage what they copy, they are staged through pinned memory of the host.
docs/two_devices.md says what each event is for. xp: the library, CuPy or the emulator's imitation of it.
"""

import functools

import numpy as np

from tinynet import emulator
from tinynet.backend import cupy_loader


def copy(xp, x, source, target):
    """The array x of GPU number `source` on GPU number `target`."""
    if not x.size:  # pinned memory of no bytes is no buffer
        with xp.cuda.Device(target):
            return xp.empty(x.shape, x.dtype)
    with xp.cuda.Device(source):  # send one contiguous run of bytes
        x = x if x.flags.c_contiguous else xp.ascontiguousarray(x)  # which would turn shape () into (1,)
    return copy_staged(xp, x, source, target) if why_staged(xp, source, target) else copy_direct(xp, x, source, target)


def follow(xp, device, other):
    """Work queued on `device` from now on waits for what is already queued on GPU `other`. The host goes on."""
    with xp.cuda.Device(other):
        event = xp.cuda.Event(disable_timing=True)
        event.record()
    with xp.cuda.Device(device):
        xp.cuda.get_current_stream().wait_event(event)


def copy_direct(xp, x, source, target):
    """Queued on the target's stream: what used y's memory before was queued there, and so is what will read y."""
    follow(xp, target, source)  # x may not be computed yet
    with xp.cuda.Device(target):
        y = xp.asarray(x)
    follow(xp, source, target)  # x may be written to; or freed, and its memory given to another array
    return y


def copy_staged(xp, x, source, target):
    """Down into pinned memory, queued on the source's stream; up from there, queued on the target's."""
    buffer = staging_buffer(xp, source, target)
    with xp.cuda.Device(source):
        host = buffer.like(x)
        xp.cuda.get_current_stream().wait_event(buffer.read)  # the last copy may still be on its way up
        x.get(out=host, blocking=False)
    follow(xp, target, source)
    with xp.cuda.Device(target):
        y = xp.empty(x.shape, x.dtype)
        y.set(host)
        buffer.read.record()
    return y


class StagingBuffer:
    """Pinned memory for what one GPU sends to another, and an event: when the target last read it."""

    def __init__(self, xp, source, target):
        self.xp, self.memory, self.size = xp, None, 0
        with xp.cuda.Device(target):
            self.read = xp.cuda.Event(disable_timing=True)

    def like(self, x):
        """This memory as a NumPy array of x's shape and dtype."""
        if self.size < x.nbytes:
            self.read.synchronize()  # rare: CuPy gives the smaller memory to whoever asks next
            self.memory, self.size = self.xp.cuda.alloc_pinned_memory(x.nbytes), x.nbytes
        return np.frombuffer(self.memory, x.dtype, x.size).reshape(x.shape)


staging_buffer = functools.cache(StagingBuffer)


@functools.cache
def why_staged(xp, source, target):
    """Why copies from one GPU to another are staged; None if they are not. The first call tries one out."""
    return None if xp is emulator.xp else cupy_loader.why_staged(xp, source, target)
