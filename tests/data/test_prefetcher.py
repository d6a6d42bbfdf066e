import numpy as np

from tinynet import backend, data
from toy_images import Toy


def test_each_batch_arrives_and_stays_until_the_next_but_one(rng, device):
    prefetcher = data.Prefetcher(device)
    last = None
    for size in (4, 4, 2, 6, 1, 4):  # smaller and larger than what came before
        images = prefetcher.empty((size, 3, 5, 5), np.float32)
        images[...] = rng.standard_normal(images.shape)
        copy = prefetcher(images)
        assert backend.device_of(copy) == device
        np.testing.assert_array_equal(backend.to_device(copy, "cpu"), images)
        if last is not None:
            np.testing.assert_array_equal(backend.to_device(last[0], "cpu"), last[1])
        last = copy, images.copy()


def test_memory_of_any_kind_is_taken(rng, device):
    images = rng.standard_normal((2, 3, 4, 4)).astype("float32")
    np.testing.assert_array_equal(backend.to_device(data.Prefetcher(device)(images), "cpu"), images)


def test_a_loader_fills_the_memory_that_it_is_given(device):
    prefetcher, made = data.Prefetcher(device), []

    def empty(shape, dtype):
        made.append(prefetcher.empty(shape, dtype))
        return made[-1]

    loader = data.DataLoader(Toy(6), 4, data.to_chw, side=8, empty=empty)
    for (images, _), memory in zip(loader, made, strict=True):
        assert images is memory
