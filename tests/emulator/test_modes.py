"""The modes that make mistakes show: shuffled threads and sanitizers."""

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from emulator_checks import launch, zeros
from tinynet import emulator
from tinynet.emulator import xp

KernelError = emulator.KernelError


def test_modes():
    two = dict(sanitize=True, debug=True), dict(sanitize=True, racecheck=True), dict(racecheck=True, debug=True)
    wrong = [(both, ValueError, "only one of sanitize, racecheck and debug at a time") for both in two]
    wrong += [(dict(shuffle=seed), ValueError, "shuffle is a seed") for seed in (-1, "1", 0.5)]
    wrong += [(dict(verbose=True), TypeError, "unexpected keyword argument 'verbose'")]
    for changes, error, message in wrong:
        with pytest.raises(error, match=message), emulator.mode(**changes):
            pass
    with emulator.mode(shuffle=3), emulator.mode(sanitize=True):
        assert emulator.modes.current() == emulator.modes.Mode(sanitize=True, shuffle=3)
    assert emulator.modes.current() == emulator.modes.Mode()


# ------------------------------------------------------------------------------ shuffle

NEIGHBORS = r"""
extern "C" __global__ void f(const float *x, float *out) {
    __shared__ float s[64];
    int i = threadIdx.x;
    s[i] = x[i];
    __syncthreads();
    out[i] = i ? s[i] - s[i - 1] : s[i];
}"""


def test_a_missing_barrier_shows_in_any_of_three_shuffles(rng):
    """In the default order the result happens to be right: thread i - 1 has written before thread i reads."""
    x = rng.standard_normal(64).astype(np.float32)
    expected = np.diff(x, prepend=np.float32(0))
    without = NEIGHBORS.replace("__syncthreads();", "")
    np.testing.assert_array_equal(launch(without, x, zeros(64), block=(64,))[1], expected)
    for seed in (1, 2, 3):
        with emulator.mode(shuffle=seed):
            np.testing.assert_array_equal(launch(NEIGHBORS, x, zeros(64), block=(64,))[1], expected)
            assert (launch(without, x, zeros(64), block=(64,))[1] != expected).any()


def test_a_seed_determines_the_order():
    code = r"""
    extern "C" __global__ void f(int *turn, int *order) {
        order[atomicAdd(turn, 1)] = blockIdx.x * 8 + threadIdx.x;
        __syncthreads();
        order[atomicAdd(turn, 1)] = blockIdx.x * 8 + threadIdx.x;
    }"""

    def order(seed):
        with emulator.mode(shuffle=seed):
            turn, order = launch(code, *(zeros(*s, dtype="int32") for s in ((1,), (5, 2, 8))), grid=(5,), block=(8,))
        assert turn == 80
        for block in order:  # one after the other, each through its barrier before it ends
            assert sorted(block[0]) == sorted(block[1]) == [*range(block.min(), block.min() + 8)]
        return order

    def threads(order):  # of blocks 0 to 4, by their indices in the block
        return order[np.argsort(order[:, 0, 0] // 8)] % 8

    first, second = order(1), order(2)
    np.testing.assert_array_equal(order(1), first)
    assert (first[:, 0, 0] // 8 != second[:, 0, 0] // 8).any()  # blocks
    assert (threads(first) != threads(second)).any()
    assert (threads(first)[0] != threads(first)[1]).any()  # each block has its own order
    assert (first[:, 0] != first[:, 1]).any()  # and another one after the barrier
    plain = order(None)
    assert (order(0) != plain).any()  # 0 is a seed too
    np.testing.assert_array_equal(plain[:, 0], np.arange(40).reshape(5, 8))
    np.testing.assert_array_equal(plain[:, 1], np.roll(plain[:, 0], 1, 1))  # the last thread to arrive just goes on


# ------------------------------------------------------------------------------ sanitize

FAULTS = {  # name: (the kernel's body, the thread that fails in its last line, message)
    "global_read": ("y[t] = x[t + 1];", 7, r"reads 4 bytes, 0 bytes past the end of argument 0 \(const float"),
    "global_write": ("y[t - 1] = x[t];", 0, r"writes 4 bytes, 4 bytes before the start of argument 1 \(float"),
    "static_shared": (
        "__shared__ float s[7];\n float *from = s;\n y[t] = from[t];", 7,
        "reads 4 bytes, 0 bytes past the end of shared memory",
    ),
    "dynamic_shared": (
        "extern __shared__ float s[];\n y[t] = s[t];", 7, "reads 4 bytes, 0 bytes past the end of shared memory"
    ),
    "row_of_shared": ("__shared__ float s[4][4];\n y[t] = s[0][t];", 4, "index 4 out of bounds"),
    "local_array": ("float a[4] = {x[0], x[1], x[2], x[3]};\n y[t] = a[t];", 4, "index 4 out of bounds"),
    "overflow": ("y[t] = (1 << 30) * (t + 1);", 1, r"signed integer overflow: (2 \* 1073741824|1073741824 \* 2)"),
    "shift": ("y[t] = 1 << (t + 27);", 5, "shift exponent 32 is too large"),
    "misaligned": ("((float4 *)(y + 1))->x = x[t];", 0, "misaligned address .* requires 16 byte alignment"),
    "far_away": ("((float *)4096)[t + 2] = x[t];", 0, r"writes at 0x1008, which is not mapped \(SEGV\)\n    in far"),
    "called": ("inner(y);", 7, r"writes .*\n    in inner at kernel.cu:\d+\n    in called at"),
    "fine": ("y[t] = 2 * x[t];", None, None),
}  # fmt: skip
SANITIZE = """
__device__ void inner(float *y) {
    __syncthreads();
    y[threadIdx.x + 1] = 0;  // called
}
""" + "".join(
    f'extern "C" __global__ void {name}(const float *x, float *y) {{\n int t = threadIdx.x;\n {body}  // {name}\n}}\n'
    for name, (body, _, _) in FAULTS.items()
)


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "fine"])
def test_sanitize(name):
    """The error names the line of the source, the thread, and what it accessed."""
    _, thread, message = FAULTS[name]
    x, y = np.arange(8, dtype=np.float32), zeros(8)
    with emulator.mode(sanitize=True), pytest.raises(KernelError) as caught:
        launch(SANITIZE, x, y, block=(8,), shared_mem=28, name=name)
    line = 1 + next(i for i, line in enumerate(SANITIZE.split("\n")) if line.endswith(f"// {name}"))
    where = rf"{name}: kernel\.cu:{line}(:\d+)? in thread \({thread},0,0\) of block \(0,0,0\): .*"
    assert re.match(where + f"({message})", str(caught.value)), str(caught.value)


def test_sanitized_views_and_empty_arrays():
    kernel = xp.RawModule(code=SANITIZE).get_function("fine")
    whole = xp.arange(32, dtype=np.float32)
    with emulator.mode(sanitize=True):
        kernel((1,), (8,), (whole[3:11], whole[20:28]))  # each with nothing around it
        assert whole[18:30].tolist() == [18, 19, *range(6, 22, 2), 28, 29]
        kernel((1,), (4,), (whole[0:8], whole[4:8]))  # these overlap, and still do in the other process
        assert whole[:8].tolist() == [0, 1, 2, 3, 0, 2, 4, 6]
        with pytest.raises(KernelError, match="past the end of argument 1"):
            kernel((1,), (8,), (whole[3:11], whole[20:27]))
        with pytest.raises(KernelError, match="past the end of argument 0"):
            kernel((1,), (1,), (whole[:0], whole))


def test_sanitized_errors_are_those_of_other_launches():
    message = r"f: kernel.cu:1 in thread \(\d+,0,0\) of block \(0,0,0\): assertion"
    with emulator.mode(sanitize=True, shuffle=1), pytest.raises(KernelError, match=message):
        launch('extern "C" __global__ void f() { assert(false); }')


ENDLESS = """
import numpy as np
from tinynet import emulator
from tinynet.emulator import xp
f = xp.RawKernel('extern "C" __global__ void f(const volatile int *x) { while (*x == 0) {} }', "f")
with emulator.mode(sanitize=True):
    f((1,), (1,), (xp.zeros(1, np.int32),))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc, and only there the program can know")
def test_a_sanitized_kernel_does_not_outlive_python():
    def children():
        listed = Path(f"/proc/{python.pid}/task/{python.pid}/children").read_text(encoding="utf-8").split()
        names = {child: Path(f"/proc/{child}/comm").read_text(encoding="utf-8").strip() for child in listed}
        return [child for child, name in names.items() if name == "program"]

    python = subprocess.Popen([sys.executable, "-c", ENDLESS])
    while not (programs := children()):
        assert python.poll() is None
        time.sleep(0.1)
    python.kill()
    python.wait()
    command = Path(f"/proc/{programs[0]}/cmdline")
    for _ in range(300):
        if not command.exists() or not command.read_bytes():  # a process that has ended, but nobody has asked, has none
            return
        time.sleep(0.1)
    subprocess.run(["kill", *programs])
    pytest.fail("the program still runs")
