"""Batches, prepared by threads while the network computes (Krizhevsky et al., 2012, section 4.1).

"In our implementation, the transformed images are generated in Python code on the CPU while the GPU is training on the
previous batch of images." Threads suffice, because Pillow and NumPy release the GIL while they decode and compute.

No batch depends on timing. The order of an epoch is drawn from (seed, epoch), the augmentation of image i from
(seed, epoch, i), and batches come out in order, so the same seed gives the same bits with one worker or sixteen, in one
run or stopped and resumed.
"""

import time
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

import numpy as np

from tinynet.backend import bounds
from tinynet.data.arguments import check_bools, check_callable, check_dataset, check_integer, wrong
from tinynet.data.errors import DataError, ImageError
from tinynet.data.images import LARGEST_SIDE
from tinynet.data.transforms import Crop

IMAGES_PER_JOB = 8  # enough to make a job's overhead small, few enough for all workers to share a batch


class DataLoader:
    """Iterating over it yields the rest of the current epoch, as pairs (images, labels).

    images: float32 (N, 3, H, W), contiguous; (N, 10, 3, H, W) if the transform makes ten crops. labels: int64 (N,).
    N is batch_size, except in the last batch and where images cannot be read.

    dataset: anything with ImageFolder's interface.
    transform: transform(image, rng) -> (3, H, W) or (crops, 3, H, W), so its last step is to_chw.
    shuffle: a new order each epoch. seed: 0 or more.
    workers: threads. prefetch: batches prepared in advance.
    side: images are read at (side, side). crop: a RandomCrop or CenterCrop that comes before the transform. It is known
        before decoding, so that only the cropped patch need be resampled.
    drop_last: leave out an incomplete last batch. strict: raise the ImageError of an image that cannot be read.
        Otherwise it is left out of its batch, an empty batch is skipped, and `skipped` maps paths to reasons.
    empty: empty(shape, dtype) allocates the arrays of images (Prefetcher.empty: in memory that a GPU can read).
    shard: (rank, world_size). batch_size counts the images of all ranks; this loader yields the rank's contiguous shard
        of each batch, which may be empty.

    Raises DataError for bad arguments, and after an epoch in which no image could be read.

    Breaking out of the loop stops the threads; iterating again continues after the last batch yielded. `wait_seconds`
    is the total time that the consumer waited for batches.
    """

    def __init__(self, dataset, batch_size, transform, shuffle=False, seed=0, workers=2, prefetch=4, side=256,
                 crop=None, drop_last=False, strict=False, empty=np.empty, shard=(0, 1)):
        for name, value, *limits in (("batch_size", batch_size, 1), ("seed", seed, 0), ("workers", workers, 1),
                                     ("prefetch", prefetch, 1), ("side", side, 1, LARGEST_SIDE)):
            check_integer("DataLoader", name, value, *limits)
        check_dataset("DataLoader", "dataset", dataset)
        check_bools("DataLoader", shuffle=shuffle, drop_last=drop_last, strict=strict)
        check_callable("DataLoader", "transform", transform)
        check_callable("DataLoader", "empty", empty)
        if not isinstance(crop, Crop | None):
            raise wrong("DataLoader", "crop", "a RandomCrop, a CenterCrop or None", crop)
        if not _is_shard(shard):
            raise wrong("DataLoader", "shard", "(rank, world_size)", shard)
        if len(dataset) < (batch_size if drop_last else 1):
            raise DataError(f"a data set of {len(dataset)} images makes no batch of {batch_size}"
                            + " when drop_last is set" * drop_last)
        self.dataset, self.batch_size, self.transform = dataset, batch_size, transform
        self.shuffle, self.seed, self.workers, self.prefetch = shuffle, seed, workers, prefetch
        self.side, self.crop, self.drop_last, self.strict = side, crop, drop_last, strict
        self.empty, self.shard = empty, shard
        self.epoch, self.position = 0, 0
        self.skipped = {}
        self.wait_seconds = 0.0
        self._running = None  # a weak reference to the iterator in use

    def __len__(self):
        """Batches per epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def state_dict(self):
        """The number of epochs finished, and of batches already yielded in the current one."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state):
        """Go to where state_dict() was taken; the next iteration starts there.

        After an epoch's last batch the position is len(self), and iterating from there yields nothing and only ends
        the epoch: so a resumed training loop does the same as one that was never stopped.
        """
        try:
            epoch, position = int(state["epoch"]), int(state["position"])
        except (KeyError, TypeError, ValueError):
            raise wrong("DataLoader.load_state_dict", "state", "a state_dict()", state) from None
        if epoch < 0 or not 0 <= position <= len(self):
            raise DataError(f"cannot resume at epoch {epoch}, batch {position}: an epoch has {len(self)} batches here "
                            "(another data set or batch size?)")
        self._stop_running()
        self.epoch, self.position = epoch, position

    def __iter__(self):
        self._stop_running()  # only one iterator at a time may advance the position
        batches = self._batches()
        self._running = weakref.ref(batches)
        return batches

    def _stop_running(self):
        running = self._running and self._running()
        if running is not None:
            running.close()

    def _batches(self):
        first, yielded = self.position, 0
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
                    yielded += 1
                    yield batch.take(self.dataset.labels)
                elif self.shard[1] > 1:  # other ranks may have images of this batch
                    yield self._nothing()
        finally:  # also when the consumer leaves early: no thread outlives the iteration
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
        if first == 0 and yielded == 0 and self.shard[1] == 1:
            path, reason = next(iter(self.skipped.items()))
            raise DataError(f"none of {len(self.dataset)} images can be read; the first: {path}: {reason}")
        self.epoch, self.position = self.epoch + 1, 0

    def _shard(self, whole):
        rank, world_size = self.shard
        start, stop = bounds(len(whole), world_size)[rank]
        return whole[start:stop]

    def _nothing(self):
        """A batch of no images, with the shape that its images would have."""
        size = self.crop.size if self.crop else self.side
        sample = self.transform(np.zeros((size, size, 3), np.uint8), np.random.default_rng(0))
        return self.empty((0, *sample.shape), np.float32), np.zeros(0, np.int64)

    def _order(self):
        if not self.shuffle:
            return np.arange(len(self.dataset))
        return np.random.default_rng((self.seed, self.epoch)).permutation(len(self.dataset))

    def _start(self, pool, indices, stop):
        batch = _Batch(indices, self.empty)
        for start in range(0, len(indices), IMAGES_PER_JOB):
            rows = range(start, min(start + IMAGES_PER_JOB, len(indices)))
            batch.jobs.append(pool.submit(self._fill, batch, rows, self.epoch, stop))
        return batch

    def _fill(self, batch, rows, epoch, stop):
        """In a worker: read and transform some of a batch's images."""
        for row in rows:
            if stop.is_set():
                return
            index = int(batch.indices[row])
            # index + 1: NumPy pads seeds with zeros, so (seed, epoch, 0) would give the stream of (seed, epoch),
            # from which the order was drawn.
            rng = np.random.default_rng((self.seed, epoch, index + 1))
            patch = self.crop.patch(self.side, self.side, rng) if self.crop else None
            try:
                image = self.dataset.image(index, self.side, patch)
            except ImageError as error:
                batch.failures[row] = error
                continue
            batch.put(row, self.transform(image, rng))

    def _finish(self, batch):
        """In the consumer: wait for a batch. A worker's exception is raised here."""
        start = time.perf_counter()
        try:
            for job in batch.jobs:
                job.result()
        finally:
            self.wait_seconds += time.perf_counter() - start
        for row in sorted(batch.failures):
            error = batch.failures[row]
            if self.strict:
                raise error
            self.skipped.setdefault(error.path, error.reason)


def _is_shard(shard):
    try:
        rank, world_size = shard
        return 0 <= rank < world_size and rank % 1 == world_size % 1 == 0
    except (TypeError, ValueError):
        return False


class _Batch:
    """A batch that several workers fill, each writing its own rows."""

    def __init__(self, indices, empty):
        self.indices, self.empty = indices, empty  # indices: (N,) into the data set
        self.images = None  # (N, *sample), allocated when the first sample shows its shape
        self.read = np.zeros(len(indices), bool)
        self.failures = {}  # row -> ImageError
        self.jobs = []
        self._lock = Lock()

    def put(self, row, sample):
        with self._lock:
            if self.images is None:
                if sample.ndim not in (3, 4) or sample.shape[-3] != 3:
                    raise DataError("transform must return (3, H, W) or (crops, 3, H, W), so end it with to_chw; "
                                    f"got {sample.shape}")
                self.images = self.empty((len(self.indices), *sample.shape), np.float32)
        if sample.shape != self.images.shape[1:]:
            raise DataError(f"transform returned {sample.shape} for one image of a batch and "
                            f"{self.images.shape[1:]} for another")
        self.images[row] = sample
        self.read[row] = True

    def take(self, labels):
        if self.read.all():
            return self.images, labels[self.indices]
        return self.images[self.read], labels[self.indices[self.read]]
