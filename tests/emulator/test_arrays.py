"""The emulator's arrays are like CuPy's: the same names, the same strictness, the same memory statistics."""

import copy
import importlib
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

from tinynet import emulator
from tinynet.emulator import xp

NAMES = Path(__file__).with_name("cupy_names.txt")  # of CuPy 14.2: module or class, and its public names
MODULES = ["", "cuda", "cuda.runtime", "cuda.memory", "cuda.compiler", "lib", "lib.stride_tricks"]
CLASSES = ["ndarray", "RawModule", "RawKernel", "add", "cuda.Device", "cuda.Stream", "cuda.Event", "cuda.MemoryPool"]
IN_CUPY = {"ndarray.data": "cuda.MemoryPointer", "ndarray.flags": "_core.flags.Flags", "ogrid": "ogrid"}
KERNEL = 'extern "C" __global__ void f() {}'
INSTANCES = {  # of some of these, and of what CuPy has only instances of
    "ndarray.data": lambda: xp.zeros(1).data, "ndarray.flags": lambda: xp.zeros(1).flags, "ogrid": lambda: xp.ogrid,
    "cuda.Device": xp.cuda.Device, "cuda.Stream": xp.cuda.Stream, "cuda.Event": xp.cuda.Event,
    "RawKernel": lambda: xp.RawKernel(KERNEL, "f"), "RawModule": lambda: xp.RawModule(code=""),
    "ndarray": lambda: xp.zeros(1), "cuda.MemoryPool": xp.get_default_memory_pool,
}  # fmt: skip


def public(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


def look_up(root, path):
    for name in filter(None, path.split(".")):
        root = getattr(root, name)
    return root


def recorded():
    lines = (line.split(": ") for line in NAMES.read_text().splitlines())
    return {path: set(names.split()) for path, names in lines}


@pytest.mark.parametrize("path", [*MODULES, *CLASSES, *IN_CUPY])
def test_no_name_that_cupy_lacks(path):
    ours = [] if path in IN_CUPY else [look_up(xp, path)]
    ours += [INSTANCES[path]()] if path in INSTANCES else []
    if path == "RawKernel":
        ours[1]((1,), (1,), ())
    for thing in ours:
        more = public(thing) - recorded()[f"cupy.{path}".rstrip(".")]
        assert not more, f"CuPy's {path or 'module'} has no {sorted(more)}"


def test_recorded_names_are_cupys():
    """CuPy can be imported without a GPU. To record its names again, delete the file and run this test twice."""
    try:
        cupy = importlib.import_module("cupy")
        importlib.import_module("cupy._core.flags")
    except ImportError:
        pytest.skip("CuPy is not installed: pip install cupy-cuda12x==14.2.0")
    paths = (*MODULES, *CLASSES, *IN_CUPY)
    real = {f"cupy.{path}".rstrip("."): public(look_up(cupy, IN_CUPY.get(path, path))) for path in paths}
    if not NAMES.exists():
        NAMES.write_text("".join(f"{path}: {' '.join(sorted(names))}\n" for path, names in real.items()))
    assert recorded() == real


def test_a_missing_name():
    for thing, name in ((xp, "histogramdd"), (xp.cuda, "nothing"), (xp.lib.stride_tricks, "y"), (xp.cuda.runtime, "z")):
        with pytest.raises(AttributeError, match=f"the emulator's .* has no '{name}'"):
            getattr(thing, name)
    with pytest.raises(AttributeError):
        xp.zeros(1).ctypes  # noqa: B018


# ------------------------------------------------------------------------------ results


def test_every_result_is_an_array(rng):
    a = rng.standard_normal((3, 4)).astype(np.float32)
    x = xp.asarray(a)
    cases = [
        (x.sum(), a.sum()), (x.max(1), a.max(1)), (x.mean(), a.mean()), (x[1, 2], a[1, 2]), (x.argmax(), a.argmax()),
        (x > 0, a > 0), ((x > 0).all(), (a > 0).all()), (-x, -a), (abs(x), abs(a)), (2 / x, 2 / a), (x @ x.T, a @ a.T),
        (x**2, a**2), (divmod(x, 2)[1], divmod(a, 2)[1]), (2 - x, 2 - a), (x.T, a.T), (x.reshape(-1), a.reshape(-1)),
        (xp.exp(x), np.exp(a)), (xp.where(x > 0, x, 0), a.clip(0)), (xp.concatenate([x, x], 1), np.c_[a, a]),
        (xp.stack([x, x]), np.stack([a, a])), (np.float32(3) * x, 3 * a), (x[x > 0], a[a > 0]), (x[[0, 2]], a[[0, 2]]),
        (xp.maximum(x, 0, out=xp.empty_like(x)), a.clip(0)), (x.astype(np.int32), a.astype(np.int32)),
        (xp.split(x, 2, 1)[1], a[:, 2:]), (xp.ogrid[:2, :3][1], np.ogrid[:2, :3][1]), (x.view("i4"), a.view("i4")),
        (xp.add.reduce(x), a.sum(0)), (next(iter(x)), a[0]), (xp.isfinite(x).sum(), 12), (xp.array_equal(x, x), True),
        (xp.lib.stride_tricks.as_strided(x, (2, 2), (4, 4)), np.array([a[0, :2], a[0, 1:3]])),
    ]  # fmt: skip
    for got, expected in cases:
        assert type(got) is xp.ndarray
        assert got.dtype == np.asarray(expected).dtype
        np.testing.assert_allclose(got.get(), expected, rtol=1e-5)
    assert (len(x), x.ndim, x.size, x.nbytes, x.itemsize) == (3, 2, 12, 48, 4)


def test_in_place_and_out_keep_the_array():
    x = y = xp.ones(3)
    y += 1
    y *= xp.asarray([1.0, 2.0, 3.0])
    assert y is x
    assert xp.add(x, 1, out=x) is x
    xp.add.at(x, xp.asarray([0, 0, 2]), xp.asarray([10.0, 20.0, 30.0]))
    x[1] = 0
    x[x > 30] = -1
    assert x.tolist() == [-1, 0, -1]


def test_numbers_are_read_explicitly():
    x = xp.asarray(2.5)
    assert (float(x), int(x), bool(x), x.item(), complex(x)) == (2.5, 2, True, 2.5, 2.5 + 0j)
    assert f"{x:.2f} {x!r} {x!s}" == "2.50 array(2.5) 2.5"
    with pytest.raises(TypeError):
        [1, 2, 3][xp.asarray(1)]  # in CuPy an array is not an index
    with pytest.raises(ValueError, match="truth value"):
        bool(xp.ones(2))
    with pytest.raises(TypeError, match="0-d"):
        iter(x)
    with pytest.raises(TypeError, match="unhashable"):
        {x}  # noqa: B018


def test_no_warnings_as_on_a_gpu():
    x = xp.asarray([0.0, -1.0, 1e308])
    assert np.isnan(xp.log(x)[1].get())
    assert xp.isinf(1 / x)[0]
    assert xp.isinf(x * 10)[2]


# ------------------------------------------------------------------------------ strictness


@pytest.mark.parametrize(
    "operation",
    [
        lambda x, a: x + a, lambda x, a: a + x, lambda x, a: a @ x, lambda x, a: xp.add(x, a), lambda x, a: xp.sum(a),
        lambda x, a: xp.concatenate([x, a]), lambda x, a: x[a.astype(int)], lambda x, a: x.__setitem__(0, a),
        lambda x, a: xp.add(x, x, out=a), lambda x, a: np.add(a, x), lambda x, a: np.asarray(x), lambda x, a: np.exp(x),
        lambda x, a: a.__setitem__(slice(None), x), lambda x, a: a.__iadd__(x), lambda x, a: np.stack([x, x]),
        lambda x, a: xp.where(x > 0, x, a),
    ],
)  # fmt: skip
def test_numpy_arrays_do_not_mix_with_those_of_a_device(operation):
    with pytest.raises(TypeError):
        operation(xp.ones(3), np.ones(3))


def test_arrays_on_two_devices_do_not_mix():
    x = xp.ones(3)
    with xp.cuda.Device(1):
        y = xp.ones(3)
        assert (y + y).device.id == 1
        with pytest.raises(ValueError, match="array device = emu:0 while current = emu:1"):
            y + x
        with pytest.raises(ValueError, match="array device = emu:0 while current = emu:1"):
            x + x  # nor on one that is not current
    with pytest.raises(ValueError, match="array device = emu:1 while current = emu:0"):
        y[0] = x[0]


def test_from_device_to_device():
    x = xp.arange(4)
    with emulator.transfers() as moved, xp.cuda.Device(1):
        y = xp.asarray(x)
        assert xp.asarray(y) is y
        z = x.copy()
    assert (x.device.id, y.device.id, z.device.id) == (0, 1, 1)
    assert moved == {("emu:0", "emu:1"): 2 * 4 * 8}
    x[0] = 9
    assert y.tolist() == z.tolist() == [0, 1, 2, 3]


def test_transfers():
    x = xp.zeros(5, np.float32)
    with emulator.transfers() as moved:
        x.set(np.ones(5, np.float32))
        with emulator.transfers() as inner:
            xp.asarray(np.ones(2)), xp.asarray([1.0]), xp.ones(7)
        x.get(), x.tolist(), x[0].item(), float(x.sum()), xp.asnumpy(x)
    x.get()
    assert inner == {("cpu", "emu:0"): 24}
    assert moved == {("cpu", "emu:0"): 44, ("emu:0", "cpu"): 3 * 20 + 2 * 4}


def test_the_current_device_belongs_to_the_thread():
    seen = []
    with xp.cuda.Device(2), xp.cuda.Device(3):
        assert xp.zeros(1).device == xp.cuda.Device(3)
        thread = threading.Thread(target=lambda: seen.append(xp.zeros(1).device.id))
        thread.start()
        thread.join()
    assert seen == [0]
    assert xp.cuda.Device().id == 0
    xp.cuda.Device(5).use()
    assert xp.cuda.runtime.getDevice() == 5
    xp.cuda.Device(0).use()


def test_a_device_that_does_not_exist():
    with pytest.raises(xp.cuda.runtime.CUDARuntimeError, match="no emu:8, only emu:0 to emu:7"), xp.cuda.Device(8):
        pass
    assert xp.cuda.Device().id == 0


# ------------------------------------------------------------------------------ copies and views


def test_asarray():
    x = xp.arange(6, dtype=np.float32).reshape(2, 3)
    assert xp.asarray(x) is x
    assert xp.asarray(x, np.float32) is x
    assert xp.asarray(x, np.float64).dtype == np.float64
    assert xp.array(x) is not x
    assert xp.ascontiguousarray(x) is x
    assert not x.T.flags.c_contiguous
    assert xp.ascontiguousarray(x.T).flags.c_contiguous
    a = np.ones(2)
    y = xp.asarray(a)
    a[0] = 5
    assert y.tolist() == [1, 1]  # a copy
    b = y.get()
    b[0] = 5
    assert y.tolist() == [1, 1]
    assert xp.asarray(np.float32(2)).shape == ()
    assert xp.asarray([[1, 2]], "f4").dtype == np.float32


def test_get_and_set_check():
    x = xp.zeros((2, 3), np.float32)
    out = np.empty((2, 3), np.float32)
    assert x.get(out=out) is out
    for wrong in (np.empty((3, 2), np.float32), np.empty((2, 3))):
        with pytest.raises(ValueError, match="out is"):
            x.get(out=wrong)
    with pytest.raises(ValueError, match="Shape mismatch"):
        x.set(np.zeros(3, np.float32))
    with pytest.raises(TypeError, match="float64 array cannot be set to float32 array"):
        x.set(np.zeros((2, 3)))
    with pytest.raises(TypeError, match="Only numpy"):
        x.set([1])


def test_copies():
    x = xp.arange(3)
    for y in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x)), x.copy()):
        y[0] = 7
        assert (x.tolist(), y.tolist()) == ([0, 1, 2], [7, 1, 2])


def test_views():
    x = xp.arange(6)
    y = x.reshape(2, 3)[:, 1:].T
    assert x.base is None
    assert y.base is x
    assert y[0].base is x
    assert (x * 2).base is None
    assert y.data.ptr == x.data.ptr + 8
    y[...] = 0
    assert x.tolist() == [0, 0, 0, 3, 0, 0]


# ------------------------------------------------------------------------------ memory


@pytest.fixture
def pool():
    """That of a device that no other test uses."""
    with xp.cuda.Device(7):
        pool = xp.get_default_memory_pool()
        pool.free_all_blocks()
        yield pool
        pool.set_limit(size=0)


def test_memory_statistics(pool):
    start = pool.used_bytes()
    x = xp.zeros(1000, np.float32)
    assert pool.used_bytes() - start == 4096  # in units of 512, as in CuPy
    view = x.reshape(10, 100)[3:]
    assert pool.used_bytes() - start == 4096
    y = x + 1
    y += x
    windows = xp.lib.stride_tricks.as_strided(x, (500, 500), (4, 4))
    assert pool.used_bytes() - start == 2 * 4096
    del x, y, windows
    assert pool.used_bytes() - start == 4096  # because of the view
    assert pool.free_bytes() == 4096
    assert pool.total_bytes() - start == 2 * 4096
    assert xp.cuda.Device().mem_info == (16 * 2**30 - pool.total_bytes(), 16 * 2**30)
    del view
    pool.free_all_blocks()
    assert (pool.used_bytes(), pool.total_bytes(), pool.free_bytes()) == (start, start, 0)


def test_out_of_memory(pool):
    pool.set_limit(size=10240)
    assert pool.get_limit() == 10240
    x = xp.zeros(2048, np.float32)
    message = r"allocating 8,192 bytes \(allocated so far: 8,192 bytes, limit set to: 10,240 bytes\)"
    with pytest.raises(xp.cuda.memory.OutOfMemoryError, match=message):
        x + 1
    with xp.cuda.Device(6):
        xp.zeros(4096, np.float32)  # a limit applies to one device
    del x
    xp.zeros(2048, np.float32)
    pool.set_limit(fraction=0.5)
    assert pool.get_limit() == 8 * 2**30
    with pytest.raises(ValueError, match="either size, in bytes, or fraction"):
        pool.set_limit()


def test_pinned_memory():
    memory = xp.cuda.alloc_pinned_memory(100)
    assert len(memory) == 512  # as in CuPy, more than requested
    a = np.frombuffer(memory, np.float32, 25)
    a[:] = 3
    x = xp.zeros(25, np.float32)
    x.set(a)
    assert (x == 3).all()


def test_device_attributes():
    assert xp.cuda.runtime.getDeviceCount() == 8
    assert (xp.cuda.runtime.deviceCanAccessPeer(0, 1), xp.cuda.runtime.deviceCanAccessPeer(1, 1)) == (1, 0)
    device = xp.cuda.Device(1)
    assert (device.compute_capability, device.attributes["MultiProcessorCount"]) == ("90", 16)
    assert (device.id, int(device), repr(device)) == (1, 1, "<CUDA Device 1>")
    assert device == xp.cuda.Device(1) != xp.cuda.Device(0)
    assert len({device, xp.cuda.Device(1)}) == 1
