"""Batches, made by threads while the network computes (Krizhevsky et al., 2012, section 4.1).

"In our implementation, the transformed images are generated in Python code on the CPU while the GPU
is training on the previous batch of images": threads do that here, because Pillow and NumPy drop
the GIL while they decode and compute.

No batch depends on timing. The order of an epoch comes from (seed, epoch), the random crop of image
i from (seed, epoch, i), and batches leave in order, so the same seed gives the same bits with one
worker or sixteen, in one run or stopped and resumed.
"""

import time
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

import numpy as np

from tinynet.backend import bounds
from tinynet.data.errors import DataError, ImageError
from tinynet.data.transforms import split_crop

IMAGES_A_JOB = 8  # enough to make a job's overhead small, few enough that all workers share a batch


class DataLoader:
    """Iterating gives the rest of the current epoch: (images, labels) after (images, labels).

    images: float32 (N, 3, H, W), contiguous; (N, 10, 3, H, W) if the transform makes ten crops.
    labels: int64 (N,). N is batch_size but for the last batch and for images that cannot be read.

    dataset: anything with ImageFolder's interface. transform: transform(image, rng) -> (3, H, W) or
    (crops, 3, H, W), so its last step is to_chw; of a Compose that starts with a crop, the crop is
    asked first, and the data set for that part only. shuffle: a new order each epoch. seed: 0 or more.
    workers: threads. prefetch: batches made ahead of the one in use. side: what is asked of
    dataset.image. drop_last: leave out an incomplete last batch. empty(shape, dtype): what makes the
    arrays of images (Prefetcher.empty: in memory that a GPU reads by itself). shard: (r, n) for the r-th of n
    ranks that load together: batch_size counts the images of all, and this loader makes the r-th part of each
    batch, which may be empty.

    An image that cannot be read is left out of its batch, and a batch that becomes empty is passed
    over; `skipped` maps their paths to the reasons. strict=True raises the ImageError instead.
    An epoch in which nothing can be read is a DataError, as are bad arguments.

    Breaking out of the loop stops the threads; iterating again goes on after the last batch handed
    out. `wait_seconds` adds up the time for which the consumer had to wait for batches.
    """

    def __init__(self, dataset, batch_size, transform, shuffle=False, seed=0, workers=2, prefetch=4,
                 side=256, drop_last=False, strict=False, empty=np.empty, shard=(0, 1)):
        for name, value, least in (("batch_size", batch_size, 1), ("seed", seed, 0),
                                   ("workers", workers, 1), ("prefetch", prefetch, 1),
                                   ("side", side, 1)):
            if not isinstance(value, (int, np.integer)) or value < least:
                raise DataError(f"{name} must be a whole number, {least} or more, got {value!r}")
        if not callable(transform):
            raise DataError(f"transform must be callable, got {transform!r}")
        if len(dataset) < (batch_size if drop_last else 1):
            raise DataError(
                f"a data set of {len(dataset)} images makes no batch of {batch_size}"
                + (" when drop_last is set" if drop_last else "")
            )
        self.dataset, self.batch_size, self.transform = dataset, batch_size, transform
        self.shuffle, self.seed, self.side = shuffle, seed, side
        self.workers, self.prefetch = workers, prefetch
        self.drop_last, self.strict, self.empty, self.shard = drop_last, strict, empty, shard
        self.epoch, self.position = 0, 0
        self.skipped = {}
        self.wait_seconds = 0.0
        self._running = None  # a weak reference to the iterator in use

    def __len__(self):
        """Batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def state_dict(self):
        """Where we are: epochs finished, and batches already handed out of this one."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state):
        """Go to where state_dict() was taken; the next iteration starts there.

        After an epoch's last batch the position is len(self), and the iteration from there is
        empty: it only ends that epoch, so a resumed training loop does what one never stopped does.
        """
        epoch, position = int(state["epoch"]), int(state["position"])
        if epoch < 0 or not 0 <= position <= len(self):
            raise DataError(
                f"cannot resume at epoch {epoch}, batch {position}: an epoch has {len(self)} "
                "batches here (another data set or batch size?)"
            )
        self._stop_running()
        self.epoch, self.position = epoch, position

    def __iter__(self):
        self._stop_running()  # a position can only be moved by one iterator at a time
        batches = self._batches()
        self._running = weakref.ref(batches)
        return batches

    def _stop_running(self):
        running = self._running and self._running()
        if running is not None:
            running.close()

    def _batches(self):
        first, handed_out = self.position, 0
        order = self._order()
        ahead, started = deque(), first
        stop = Event()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="tinynet-data")
        try:
            for number in range(first, len(self)):
                while started < len(self) and len(ahead) <= self.prefetch:
                    whole = order[started * self.batch_size : (started + 1) * self.batch_size]
                    ahead.append(self._start(pool, self._shard(whole), stop))
                    started += 1
                batch = ahead.popleft()
                self._finish(batch)
                self.position = number + 1
                if batch.read.any():
                    handed_out += 1
                    yield batch.take(self.dataset.labels)
                elif self.shard[1] > 1:  # the other ranks have a part of this batch
                    yield self._nothing()
        finally:  # also when the consumer leaves early: nothing keeps running behind its back
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
        if first == 0 and handed_out == 0 and self.shard[1] == 1:
            path, reason = next(iter(self.skipped.items()))
            raise DataError(
                f"not one of {len(self.dataset)} images can be read; the first: {path}: {reason}"
            )
        self.epoch, self.position = self.epoch + 1, 0

    def _shard(self, whole):
        rank, world_size = self.shard
        start, stop = bounds(len(whole), world_size)[rank]
        return whole[start:stop]

    def _nothing(self):
        """A batch without images, of the shape that images have."""
        blank = np.zeros((self.side, self.side, 3), np.uint8)
        sample = self.transform(blank, np.random.default_rng(0))
        return self.empty((0, *sample.shape), np.float32), np.zeros(0, np.int64)

    def _order(self):
        if not self.shuffle:
            return np.arange(len(self.dataset))
        return np.random.default_rng((self.seed, self.epoch)).permutation(len(self.dataset))

    def _start(self, pool, indices, stop):
        batch = _Batch(indices, self.empty)
        for start in range(0, len(indices), IMAGES_A_JOB):
            places = range(start, min(start + IMAGES_A_JOB, len(indices)))
            batch.jobs.append(pool.submit(self._fill, batch, places, self.epoch, stop))
        return batch

    def _fill(self, batch, places, epoch, stop):
        """In a worker: read and transform some of a batch's images."""
        crop, rest = split_crop(self.transform)
        for place in places:
            if stop.is_set():
                return
            index = int(batch.indices[place])
            # index + 1: NumPy pads seeds with zeros, so (seed, epoch, 0) would be the stream of
            # (seed, epoch), from which the order was drawn.
            rng = np.random.default_rng((self.seed, epoch, index + 1))
            part = crop.part(self.side, self.side, rng) if crop else None
            try:
                image = self.dataset.image(index, self.side, part)
            except ImageError as error:
                batch.failures[place] = error
                continue
            batch.put(place, rest(image, rng))

    def _finish(self, batch):
        """In the consumer: wait for a batch. A worker's exception is raised here."""
        start = time.perf_counter()
        try:
            for job in batch.jobs:
                job.result()
        finally:
            self.wait_seconds += time.perf_counter() - start
        for place in sorted(batch.failures):
            error = batch.failures[place]
            if self.strict:
                raise error
            self.skipped.setdefault(error.path, error.reason)


class _Batch:
    """A batch that several workers fill, each at its own places."""

    def __init__(self, indices, empty):
        self.indices, self.empty = indices, empty  # indices: (N,) into the data set
        self.images = None  # (N, *sample), once the first sample has told its shape
        self.read = np.zeros(len(indices), bool)
        self.failures = {}  # place -> ImageError
        self.jobs = []
        self._lock = Lock()

    def put(self, place, sample):
        with self._lock:
            if self.images is None:
                if sample.ndim not in (3, 4) or sample.shape[-3] != 3:
                    raise DataError(
                        "transform must give (3, H, W) or (crops, 3, H, W), so end it with "
                        f"to_chw; got {sample.shape}"
                    )
                self.images = self.empty((len(self.indices), *sample.shape), np.float32)
        if sample.shape != self.images.shape[1:]:
            raise DataError(
                f"transform gave {sample.shape} for one image of a batch and "
                f"{self.images.shape[1:]} for another"
            )
        self.images[place] = sample
        self.read[place] = True

    def take(self, labels):
        if self.read.all():
            return self.images, labels[self.indices]
        return self.images[self.read], labels[self.indices[self.read]]
