import gc
import sys
import threading
import weakref

import numpy as np
import pytest

import tinynet
from tinynet import backend
from tinynet import functional as F


@pytest.fixture
def kept():
    """How many bytes this thread's workspace holds, as a function."""
    module = sys.modules["tinynet.backend.workspace"]  # as an attribute of backend, it is the function
    before = module._local.__dict__.pop("buffers", None)
    yield lambda: sum(buffer.nbytes for buffer in module._local.__dict__.get("buffers", {}).values())
    module._local.__dict__.pop("buffers", None)
    if before is not None:
        module._local.buffers = before


MiB = 2**20


def test_memory_is_used_again_per_name_and_dtype(kept):
    a = backend.workspace("a", (10, 10), "float32")
    assert np.shares_memory(a, backend.workspace("a", (5, 7), "float32"))
    for other in (backend.workspace("b", (10, 10), "float32"), backend.workspace("a", (10, 10), "float64")):
        assert not np.shares_memory(a, other)
    results = []
    thread = threading.Thread(target=lambda: results.append(backend.workspace("a", (10, 10), "float32")))
    thread.start()
    thread.join()
    assert not np.shares_memory(a, results[0])
    assert kept() == 400 + 400 + 800


def test_no_more_is_kept_than_256_mib_a_thread(kept):
    large = backend.workspace("a", (257, MiB), "uint8")
    assert large.shape == (257, MiB) and kept() == 0
    memory = weakref.ref(large)
    del large
    assert memory() is None, "a large array is the caller's alone"
    for name in ("a", "b", "c", "d", "a", "e"):
        backend.workspace(name, 100 * MiB, "uint8")
        assert kept() <= 256 * MiB
    assert kept() == 200 * MiB
    whole = backend.workspace("f", 256 * MiB, "uint8")
    assert np.shares_memory(whole, backend.workspace("f", 3, "uint8"))
    assert kept() == 256 * MiB
    backend.workspace("f", 256 * MiB + 1, "uint8")
    assert kept() <= 256 * MiB


def test_what_somebody_still_uses_stays_theirs(kept):
    a = backend.workspace("a", 200 * MiB, "uint8")
    a[:3] = 1, 2, 3
    b = backend.workspace("b", 200 * MiB, "uint8")
    b[:3] = 0
    assert a[:3].tolist() == [1, 2, 3]


def test_one_large_image_leaves_no_large_memory_behind(kept):
    """Its columns: 3 * 20 * 20 * 300 * 300 float64 make 864 MB."""
    with_threads = tinynet.num_threads()
    tinynet.set_num_threads(1)  # so that the workspace is this thread's
    try:
        x = tinynet.tensor(np.ones((1, 3, 319, 319)))
        y = F.conv2d(x, tinynet.tensor(np.ones((1, 3, 20, 20))))
    finally:
        tinynet.set_num_threads(with_threads)
    gc.collect()
    assert (y.data == 1200).all()
    assert kept() <= 256 * MiB
