"""Batches on their way to a GPU, the next one while the last one trains.

A copy overlaps with computing if three things hold: the memory on the host is pinned, so that the GPU
can read it by itself; the copy is queued on a stream of its own; nobody waits for it but the kernels
that need it. Two places on the GPU take turns:

    compute stream    | step 1 on A        | step 2 on B        | step 3 on A ...
    copy stream       |  batch 2 into B    |  batch 3 into A    |
                                           ^ may start only when step 1 has read A
"""

import numpy as np

from tinynet.backend import library, use_device


class Prefetcher:
    """prefetcher(images): the batch as an array on `device`, valid until the next call but one.

    prefetcher.empty(shape, dtype): a NumPy array in pinned memory, what DataLoader(empty=...) fills. From
    other memory the copy is right too, but the host waits for it. On `cpu` both do nothing special.
    """

    def __init__(self, device):
        self.device = device
        self.places = None
        if device != "cpu":
            self.xp = library(device)
            with use_device(device):
                self.stream = self.xp.cuda.Stream(non_blocking=True)
                self.places = [Place(self.xp), Place(self.xp)]

    def empty(self, shape, dtype):
        if self.places is None:
            return np.empty(shape, dtype)
        size = int(np.prod(shape))
        with use_device(self.device):  # a loader's thread would start GPU 0
            memory = self.xp.cuda.alloc_pinned_memory(max(size, 1) * np.dtype(dtype).itemsize)
        return np.frombuffer(memory, dtype, size).reshape(shape)

    def __call__(self, images):
        if self.places is None:
            return images
        with use_device(self.device):
            compute = self.xp.cuda.get_current_stream()
            last, place = self.places
            self.places = [place, last]
            last.read.record(compute)  # all that reads the last batch is queued by now
            place.written.synchronize()  # long ago: the host's copy may go now
            if place.array is None or place.array.size < images.size:
                place.array = self.xp.empty(images.size, images.dtype)
                self.stream.wait_event(last.read)  # fresh memory may still be in use by what is queued
            array = place.array[: images.size].reshape(images.shape)
            self.stream.wait_event(place.read)
            array.set(images, stream=self.stream)
            place.written.record(self.stream)
            compute.wait_event(place.written)
            place.host = images  # kept until the copy is done
            return array


class Place:
    """Memory on the GPU for one batch, and when it was last written and read."""

    def __init__(self, xp):
        self.array = self.host = None
        self.written, self.read = xp.cuda.Event(), xp.cuda.Event()
