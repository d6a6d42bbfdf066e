"""Copies from one GPU to another: queued on their streams, in an order that events keep, while the host goes on.

    stream of the source    ... makes x, event 1 |                     | waits for event 2, may write to x's memory ...
    stream of the target    ... waits for event 1 | copies x, event 2  | uses the copy ...

Where peer copies do not work, or damage what they copy, the way leads over pinned memory of the host.
docs/two_devices.md says what each event is for. xp: the library, CuPy or the emulator's look-alike of it.
"""

import functools

import numpy as np

from tinynet import cuda_driver, emulator


def copy(xp, x, source, target):
    """The array x of GPU number `source` on GPU number `target`."""
    with xp.cuda.Device(source):  # one run of bytes to send
        x = x if x.flags.c_contiguous else xp.ascontiguousarray(x)  # which would make () into (1,)
    return over_host(xp, x, source, target) if why_staged(xp, source, target) else peer_copy(xp, x, source, target)


def follow(xp, device, other):
    """What is queued on `device` from now on waits for what is queued on the GPU `other` by now. The host goes on."""
    with xp.cuda.Device(other):
        event = xp.cuda.Event(disable_timing=True)
        event.record()
    with xp.cuda.Device(device):
        xp.cuda.get_current_stream().wait_event(event)


def peer_copy(xp, x, source, target):
    """Queued on the target's stream: what used y's memory before was queued there, and so is what will read y."""
    follow(xp, target, source)  # x may not be made yet
    with xp.cuda.Device(target):
        y = xp.asarray(x)
    follow(xp, source, target)  # x may be written to; or be gone, and its memory be given out again
    return y


def over_host(xp, x, source, target):
    """Down into pinned memory, queued on the source's stream; up from there, queued on the target's."""
    between = stage(xp, source, target)
    with xp.cuda.Device(source):
        host = between.room(x)
        xp.cuda.get_current_stream().wait_event(between.read)  # the last copy may still be on its way up
        x.get(out=host, blocking=False)
    follow(xp, target, source)
    with xp.cuda.Device(target):
        y = xp.empty(x.shape, x.dtype)
        y.set(host)
        between.read.record()
    return y


class Stage:
    """Pinned memory for what one GPU sends to another, and when the last of it was read."""

    def __init__(self, xp, source, target):
        self.xp, self.memory, self.size = xp, None, 0
        with xp.cuda.Device(target):
            self.read = xp.cuda.Event(disable_timing=True)

    def room(self, x):
        """A NumPy array like x."""
        if self.size < x.nbytes:
            self.read.synchronize()  # seldom: CuPy gives the smaller memory to whoever asks next
            self.memory, self.size = self.xp.cuda.alloc_pinned_memory(x.nbytes), x.nbytes
        return np.frombuffer(self.memory, x.dtype, x.size).reshape(x.shape)


stage = functools.cache(Stage)


@functools.cache
def why_staged(xp, source, target):
    """Why what one GPU sends to another goes over the host; None: it need not. The first call tries it out."""
    return None if xp is emulator.xp else cuda_driver.why_staged(xp, source, target)
