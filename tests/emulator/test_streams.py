"""Streams and events, and copies from GPU to GPU, which must be right whatever the pace of the two, without waiting.

The emulator shows that they are right by mode(streams=True), which refuses work that nothing orders; a machine with
two GPUs shows it by the results.
"""

from types import SimpleNamespace

import numpy as np
import pytest

import tinynet
from tinynet import backend, data, emulator, optim
from tinynet import functional as F
from tinynet.backend import peer_copy
from tinynet.emulator import races, xp
from tinynet.models import RECIPES, AlexNet

PAIRS = [("emu:0", "emu:1"), pytest.param(("cuda:0", "cuda:1"), marks=pytest.mark.gpu)]


# ------------------------------------------------------------------------------ streams and events


def test_streams_and_events():
    stream, event = xp.cuda.Stream(non_blocking=True), xp.cuda.Event()
    assert xp.cuda.get_current_stream() is xp.cuda.Stream.null
    with stream:
        assert xp.cuda.get_current_stream() is stream
        x = xp.zeros(3)
        x.set(np.ones(3), stream=stream)
        event.record(stream)
    assert xp.cuda.get_current_stream() is xp.cuda.Stream.null
    stream.wait_event(event)
    event.synchronize()
    stream.synchronize()
    xp.cuda.Device().synchronize()
    assert stream.done
    assert event.done
    assert stream.record(event) is event


def test_streams_belong_to_a_device():
    stream, event = xp.cuda.Stream(non_blocking=True), xp.cuda.Event()
    kernel = xp.RawKernel('extern "C" __global__ void f() {}', "f")
    with stream, xp.cuda.Device(1):
        assert xp.cuda.get_current_stream() is xp.cuda.Stream.null  # of emu:1
        assert xp.cuda.get_current_stream(0) is stream
        xp.cuda.get_current_stream().wait_event(event)
        for call in (stream.use, stream.__enter__):
            with pytest.raises(RuntimeError, match="a stream of emu:0 cannot be used while emu:1 is current"):
                call()
        with pytest.raises(xp.cuda.runtime.CUDARuntimeError, match="an event of emu:0 is recorded on the null stream"):
            event.record()
        with pytest.raises(emulator.KernelError, match="launched on a stream of emu:0 while emu:1 is current"):
            kernel((1,), (1,), (), stream=stream)
        event.record(stream)


def test_work_on_two_streams_needs_an_order():
    code = 'extern "C" __global__ void copy(const float *x, float *y) { *y = *x; }'
    copy, stream = xp.RawKernel(code, "copy"), xp.cuda.Stream(non_blocking=True)
    x, y, z = (xp.zeros(1, np.float32) for _ in range(3))
    refused = pytest.raises(emulator.StreamError, match="without waiting for")

    def on_stream(*arrays):
        copy((1,), (1,), arrays, stream=stream)

    with emulator.mode(streams=True):  # what came before is done
        on_stream(x, y)
        copy((1,), (1,), (x, z))  # both only read x
        assert x + 1 == 1
        for late in (lambda: x.fill(1), lambda: y + 1, lambda: y.get(), lambda: z.__iadd__(y)):
            with refused:
                late()
        with refused:
            copy((1,), (1,), (y, z))
        xp.cuda.get_current_stream().wait_event(stream.record())
        x.fill(1)
        with refused:
            on_stream(x, y)
        xp.cuda.Device().synchronize()
        on_stream(x, y)
        stream.synchronize()
        assert y.get() == 1
        stream.wait_event(xp.cuda.get_current_stream().record())
        y[:] = x
        with refused:  # the event was recorded before
            on_stream(y, z)
    on_stream(y, z)


# ------------------------------------------------------------------------------ copies from GPU to GPU


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
    """Sends arrays there and back while either GPU is busy and reuses their memory. Returns [(arrived, expected)]."""
    xp, cuda = backend.library(here), here.startswith("cuda")
    busy = {}
    for device in (here, there):
        with backend.use_device(device):
            busy[device] = xp.ones((4000 if cuda else 4,) * 2, np.float32)
    results = []
    for i in range(rounds):
        numbers = rng.standard_normal(rng.integers(1, 10**6 if cuda else 100)).astype("float32")
        x = backend.to_device(numbers, here)
        with backend.use_device(here if i % 2 else there):  # delays one, then the other
            busy[here if i % 2 else there] @ busy[here if i % 2 else there]
        with backend.use_device(here):
            x = x * 2
        y = backend.to_device(x, there)
        with backend.use_device(here):
            if i % 3:
                x += 1
            shape = x.shape
            del x
            xp.zeros(shape, np.float32)  # the pool may give it the memory of x
        with backend.use_device(there):
            z = y[::2] + 1
            y -= y
            del y
        results.append((backend.to_device(z, here), numbers[::2] * 2 + 1))
    return [(backend.to_device(arrived, "cpu"), expected) for arrived, expected in results]


@pytest.mark.parametrize("pair", PAIRS)
def test_many_copies_while_both_gpus_work(rng, pair, way):
    need(*pair)
    with emulator.mode(streams=True):
        for arrived, expected in exchange(rng, *pair, rounds=30):
            np.testing.assert_array_equal(arrived, expected)


@pytest.mark.parametrize("number", [1, 2])
def test_without_either_wait_a_peer_copy_is_refused(rng, monkeypatch, number):
    """The check can fail: here one of the two waits is left out."""
    follow, calls = peer_copy.follow, []

    def forgetful(xp, device, other):
        calls.append(device)
        if len(calls) % 2 != number % 2:
            follow(xp, device, other)

    monkeypatch.setattr(peer_copy, "follow", forgetful)
    with emulator.mode(streams=True), pytest.raises(emulator.StreamError):
        exchange(rng, "emu:0", "emu:1", rounds=3)


@pytest.mark.parametrize("way", ["over the host"], indirect=True)
def test_pinned_memory_is_not_used_again_too_early(rng, monkeypatch, way):
    x, y = (xp.asarray(rng.standard_normal(size)) for size in (100, 1000))
    with emulator.mode(streams=True):
        backend.to_device(x, "emu:1")
        backend.to_device(y, "emu:1")  # needs more memory, and frees the other
        xp.cuda.alloc_pinned_memory(1000)
        never = SimpleNamespace(record=lambda *_: None, synchronize=lambda: None, _clock={})
        buffer = peer_copy.staging_buffer(xp, 0, 1)
        buffer.read = never  # replaces the event that says when pinned memory has been read
        with pytest.raises(emulator.StreamError, match="emu:0 writes 8192 bytes of pinned memory"):
            backend.to_device(x, "emu:1")
        backend.to_device(xp.zeros(2000), "emu:1")
        with pytest.raises(emulator.StreamError, match="the host is given 1024 bytes of pinned memory"):
            xp.cuda.alloc_pinned_memory(1000)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (0,), (2, 0, 3)])
@pytest.mark.parametrize("pair", PAIRS)
def test_shape_and_dtype_arrive(rng, pair, way, shape, dtype):
    need(*pair)
    x = rng.standard_normal(shape).astype(dtype)
    for view in (x, x.T, x[..., 1:] if shape else x):
        there = backend.to_device(backend.to_device(x, pair[0]) if view is x else on(pair[0], view), pair[1])
        assert (backend.device_of(there), there.shape, there.dtype) == (pair[1], view.shape, dtype)
        np.testing.assert_array_equal(backend.to_device(there, "cpu"), view)


def on(device, view):
    """The same view of an array on that device."""
    with backend.use_device(device):
        whole = backend.to_device(np.ascontiguousarray(view.T), device)
        return whole.reshape(view.T.shape).T


def small(devices):
    tinynet.manual_seed(0)
    return AlexNet(12, devices, width=0.25, image_size=64, recipe=RECIPES["he"])


def batch(rng):
    return rng.standard_normal((4, 3, 64, 64)).astype("float32"), rng.integers(0, 10, 4)


def test_a_training_step_on_two_gpus_is_in_order_and_waits_for_nothing(rng, monkeypatch, way):
    """Both columns' kernels are queued before the host waits for the first time, when it reads the loss."""
    model, waits = small(["emu:0", "emu:1"]), []
    optimizer, prefetcher = optim.PaperSGD(model.parameters(), lr=0.01), data.Prefetcher("emu:0")

    def step():
        images, labels = batch(rng)
        pinned = prefetcher.empty(images.shape, images.dtype)
        pinned[...] = images
        loss = F.cross_entropy(model(tinynet.tensor(prefetcher(pinned))), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    with emulator.mode(streams=True):
        for _ in range(3):  # after these, the kernels' tables and the pinned memory exist
            step()
        wait = races.synchronize
        monkeypatch.setattr(races, "synchronize", lambda clock: (waits.append(clock), wait(clock)))
        loss = step()
        assert len(waits) == 1  # Prefetcher's, for a copy two steps ago, whose pinned memory it reuses
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
        model, rng = small(columns), np.random.default_rng(3)
        optimizer = optim.PaperSGD(model.parameters(), lr=0.001)
        for _ in range(3):
            images, labels = batch(rng)
            F.cross_entropy(model(tinynet.tensor(images, device=columns[0])), labels).backward()
            optimizer.step()
            optimizer.zero_grad()
        weights.append(model.state_dict())
    for name, expected in weights[0].items():
        np.testing.assert_allclose(weights[1][name], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
