"""Copies the next batch to a GPU while the current one trains.

A copy overlaps with computation under three conditions: the host memory is pinned, so that the GPU can read it without
the CPU; the copy is queued on a stream of its own; and only the kernels that need the batch wait for it. Two buffers on
the GPU take turns:

    compute stream    | step 1 on A        | step 2 on B        | step 3 on A ...
    copy stream       |  batch 2 into B    |  batch 3 into A    |
                                           ^ may start only when step 1 has read A
"""

import numpy as np

from tinynet.backend import library, use_device
from tinynet.data.arguments import wrong


class Prefetcher:
    """prefetcher(images): the batch as an array on `device`, valid until the call after next.

    prefetcher.empty(shape, dtype): a NumPy array in pinned memory, for DataLoader(empty=...) to fill. Images in other
    memory are copied correctly too, but the host waits for the copy. On `cpu`, neither does anything special.
    """

    def __init__(self, device):
        if not isinstance(device, str):
            raise wrong("Prefetcher", "device", "a name such as cuda:0", device)
        self.device = device
        self.buffers = None
        if device != "cpu":
            self.xp = library(device)
            with use_device(device):
                self.stream = self.xp.cuda.Stream(non_blocking=True)
                self.buffers = [Buffer(self.xp), Buffer(self.xp)]

    def empty(self, shape, dtype):
        if self.buffers is None:
            return np.empty(shape, dtype)
        size = int(np.prod(shape))
        with use_device(self.device):  # otherwise a loader's thread would initialize GPU 0
            memory = self.xp.cuda.alloc_pinned_memory(max(size, 1) * np.dtype(dtype).itemsize)
        return np.frombuffer(memory, dtype, size).reshape(shape)

    def __call__(self, images):
        if self.buffers is None:
            return images
        with use_device(self.device):
            compute = self.xp.cuda.get_current_stream()
            last, buffer = self.buffers
            self.buffers = [buffer, last]
            last.read.record(compute)  # all reads of the last batch are queued by now
            buffer.written.synchronize()  # that copy ended long ago: its host array may be freed now
            if buffer.array is None or buffer.array.size < images.size:
                buffer.array = self.xp.empty(images.size, images.dtype)
                self.stream.wait_event(last.read)  # queued work may still use the newly allocated memory
            array = buffer.array[: images.size].reshape(images.shape)
            self.stream.wait_event(buffer.read)
            array.set(images, stream=self.stream)
            buffer.written.record(self.stream)
            compute.wait_event(buffer.written)
            buffer.host = images  # kept until the copy is done
            return array


class Buffer:
    """GPU memory for one batch, and events for its last write and read."""

    def __init__(self, xp):
        self.array = self.host = None
        self.written, self.read = xp.cuda.Event(), xp.cuda.Event()
