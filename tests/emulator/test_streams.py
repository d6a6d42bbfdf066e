"""Copies from GPU to GPU: right whatever the pace of the two, and nobody waits. The emulator shows the first by
mode(streams=True), which refuses what has no certain order; a machine with two GPUs by what comes out."""

import numpy as np
import pytest
from test_alexnet import batch, small

import tinynet
from tinynet import backend, data, emulator, optim
from tinynet import functional as F
from tinynet.backend import peer_copy
from tinynet.emulator import races, xp

PAIRS = [("emu:0", "emu:1"), pytest.param(("cuda:0", "cuda:1"), marks=pytest.mark.gpu)]


def need(*devices):
    try:
        for device in devices:
            backend.library(device)
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["peer copies", "over the host"])
def way(request, monkeypatch):
    if request.param == "over the host":
        monkeypatch.setattr(peer_copy, "why_staged", lambda xp, source, target: "the test says so")
    yield
    peer_copy.staging_buffer.cache_clear()


def exchange(rng, here, there, rounds):
    """Arrays go there and back, while either GPU is busy and their memory is used again; then [(came, expected)]."""
    xp, cuda = backend.library(here), here.startswith("cuda")
    busy = {}
    for device in (here, there):
        with backend.use_device(device):
            busy[device] = xp.ones((4000 if cuda else 4,) * 2, np.float32)
    results = []
    for i in range(rounds):
        numbers = rng.standard_normal(rng.integers(1, 10**6 if cuda else 100)).astype("float32")
        x = backend.to_device(numbers, here)
        with backend.use_device(here if i % 2 else there):  # one is late, then the other
            busy[here if i % 2 else there] @ busy[here if i % 2 else there]
        with backend.use_device(here):
            x = x * 2
        y = backend.to_device(x, there)
        with backend.use_device(here):
            if i % 3:
                x += 1
            shape = x.shape
            del x
            xp.zeros(shape, np.float32)  # in the memory of x, if the pool likes
        with backend.use_device(there):
            z = y[::2] + 1
            y -= y
            del y
        results.append((backend.to_device(z, here), numbers[::2] * 2 + 1))
    return [(backend.to_device(came, "cpu"), expected) for came, expected in results]


@pytest.mark.parametrize("pair", PAIRS)
def test_many_copies_while_both_gpus_work(rng, pair, way):
    need(*pair)
    with emulator.mode(streams=True):
        for came, expected in exchange(rng, *pair, rounds=30):
            np.testing.assert_array_equal(came, expected)


@pytest.mark.parametrize("number", [1, 2])
def test_without_either_wait_a_peer_copy_is_refused(rng, monkeypatch, number):
    """The check can fail: what follows here takes one of the two out."""
    follow, calls = peer_copy.follow, []

    def forgetful(xp, device, other):
        calls.append(device)
        if len(calls) % 2 != number % 2:
            follow(xp, device, other)

    monkeypatch.setattr(peer_copy, "follow", forgetful)
    with emulator.mode(streams=True), pytest.raises(emulator.StreamError):
        exchange(rng, "emu:0", "emu:1", rounds=3)


class Never:
    """In place of the event that says when pinned memory has been read."""

    def record(self, stream=None):
        pass

    synchronize = record
    _clock = {}


@pytest.mark.parametrize("way", ["over the host"], indirect=True)
def test_pinned_memory_is_not_used_again_too_early(rng, monkeypatch, way):
    x, y = (xp.asarray(rng.standard_normal(size)) for size in (100, 1000))
    with emulator.mode(streams=True):
        backend.to_device(x, "emu:1")
        backend.to_device(y, "emu:1")  # needs more memory, and gives back the other
        xp.cuda.alloc_pinned_memory(1000)
        buffer = peer_copy.staging_buffer(xp, 0, 1)
        buffer.read = Never()
        with pytest.raises(emulator.StreamError, match="emu:0 writes 8192 bytes of pinned memory"):
            backend.to_device(x, "emu:1")
        backend.to_device(xp.zeros(2000), "emu:1")
        with pytest.raises(emulator.StreamError, match="the host is given 1024 bytes of pinned memory"):
            xp.cuda.alloc_pinned_memory(1000)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
@pytest.mark.parametrize("pair", PAIRS)
def test_shape_and_dtype_arrive(rng, pair, way, shape, dtype):
    need(*pair)
    x = rng.standard_normal(shape).astype(dtype)
    for view in (x, x.T, x[..., 1:] if shape else x):
        there = backend.to_device(backend.to_device(x, pair[0]) if view is x else on(pair[0], view), pair[1])
        assert (backend.device_of(there), there.shape, there.dtype) == (pair[1], view.shape, dtype)
        np.testing.assert_array_equal(backend.to_device(there, "cpu"), view)


def on(device, view):
    """The view, as a view on that device."""
    with backend.use_device(device):
        whole = backend.to_device(np.ascontiguousarray(view.T), device)
        return whole.reshape(view.T.shape).T


def test_a_training_step_on_two_gpus_is_in_order_and_waits_for_nothing(rng, monkeypatch, way):
    """Both columns' kernels are queued before the host waits: the first time is when it wants to see the loss."""
    model, waits = small(["emu:0", "emu:1"], classes=12), []
    optimizer, prefetcher = optim.PaperSGD(model.parameters(), lr=0.01), data.Prefetcher("emu:0")

    def step():
        images, labels = batch(rng, n=4)
        pinned = prefetcher.empty(images.shape, images.dtype)
        pinned[...] = images
        loss = F.cross_entropy(model(tinynet.tensor(prefetcher(pinned))), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    with emulator.mode(streams=True):
        for _ in range(3):  # from then on there are tables for the kernels, and pinned memory
            step()
        wait = races.synchronize
        monkeypatch.setattr(races, "synchronize", lambda clock: (waits.append(clock), wait(clock)))
        loss = step()
        assert len(waits) == 1  # Prefetcher's, for a copy of two steps ago: its pinned memory is wanted back
        loss.item()
        assert len(waits) == 2


@pytest.mark.parametrize("devices", [
    "emu:0,emu:0", "emu:0,emu:1", pytest.param("cuda:0,cuda:0", marks=pytest.mark.gpu),
    pytest.param("cuda:0,cuda:1", marks=pytest.mark.gpu),
])  # fmt: skip
def test_a_training_step_of_two_columns_is_that_of_one_device(devices):
    devices, weights = devices.split(","), []
    need(*devices)
    for columns in (devices[:1], devices):
        model, rng = small(columns, classes=12), np.random.default_rng(3)
        optimizer = optim.PaperSGD(model.parameters(), lr=0.001)
        for _ in range(3):
            images, labels = batch(rng, n=4)
            F.cross_entropy(model(tinynet.tensor(images, device=columns[0])), labels).backward()
            optimizer.step()
            optimizer.zero_grad()
        weights.append(model.state_dict())
    for name, expected in weights[0].items():
        np.testing.assert_allclose(weights[1][name], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
