"""A launch: arguments arrive, and whatever a GPU would refuse, misread or hang in is an error; printf."""

import re

import numpy as np
import pytest

from emulator_checks import launch, zeros
from tinynet import emulator
from tinynet.emulator import xp

KernelError = emulator.KernelError
EMPTY = 'extern "C" __global__ void f() {}'

# ------------------------------------------------------------------------------ arguments

PARAMETERS = """
struct Pair { int a; double b; };
extern "C" __global__ void f(const float *x, double *y, int n, float s, Pair pair, const bool *keep, unsigned char c) {
    if (y) y[0] = x[0] + n + s + pair.a + pair.b + (keep ? keep[0] : 0) + c;
}"""
PAIR = np.array((1000, 0.25), np.dtype([("a", np.int32), ("b", np.float64)], align=True))


def parameters(**changes):
    arguments = dict(
        x=zeros(1), y=zeros(1, dtype="float64"), n=np.int32(10), s=np.float32(0.5), pair=PAIR,
        keep=np.ones(1, bool), c=np.uint8(200),
    )  # fmt: skip
    return [*(arguments | changes).values()]


def test_arguments_arrive():
    assert launch(PARAMETERS, *parameters())[1] == 1211.75
    assert launch(PARAMETERS, *parameters(keep=None))[1] == 1210.75
    assert launch(PARAMETERS, *parameters(pair=PAIR[()], keep=zeros(1, dtype="uint8")))[1] == 1210.75
    launch(PARAMETERS, *parameters(y=None))


WRONG = [
    (dict(n=10), r"argument 2 \(int n\): expected a NumPy scalar, int32; got int \(CuPy would pass it as 64 bits\)"),
    (dict(s=0.5), r"argument 3 \(float s\): expected a NumPy scalar, float32; got float"),
    (dict(n=np.int64(1)), r"argument 2 \(int n\): expected int32, got int64"),
    (dict(s=np.int32(1)), r"argument 3 \(float s\): expected float32, got int32"),
    (dict(n=np.float32(1)), r"argument 2 \(int n\): expected int32, got float32"),
    (dict(n=zeros(1, dtype="int32")), r"argument 2 \(int n\): expected int32, got an array"),
    (dict(n=None), r"argument 2 \(int n\): expected a NumPy scalar, int32; got NoneType"),
    (dict(pair=np.int32(1)), r"argument 4 \(Pair pair\): expected a struct of 16 bytes, got int32"),
    (dict(x=np.float32(1)), r"argument 0 \(const float \*x\): expected an array on the device, or None; got float32"),
    (dict(y=zeros(1)), r"argument 1 \(double \*y\): expected an array of float64, got one of float32"),
    (dict(keep=zeros(1)), r"argument 5 \(const bool \*keep\): expected an array of bool, got one of float32"),
    (dict(more=np.int32(1)), r"takes 7 arguments, got 8"),
]


@pytest.mark.parametrize("change, message", WRONG, ids=[str(*change) for change, _ in WRONG])
def test_wrong_arguments(change, message):
    with pytest.raises(KernelError, match=f"^f: {message}"):
        launch(PARAMETERS, *parameters(**change))


def test_an_array_that_is_elsewhere():
    kernel = xp.RawModule(code=PARAMETERS).get_function("f")
    with pytest.raises(KernelError, match="expected an array on the device, or None; got ndarray"):
        kernel((1,), (1,), tuple(parameters()))  # NumPy's
    kernel = xp.RawModule(code='extern "C" __global__ void f(int *x) { *x = 7; }').get_function("f")
    with xp.cuda.Device(1):
        x = xp.zeros(1, np.int32)
        kernel((1,), (1,), (x,))
        assert x.item() == 7
    with pytest.raises(KernelError, match="the array is on emu:1, the current device is emu:0"):
        kernel((1,), (1,), (x,))


# ------------------------------------------------------------------------------ CUDA's limits


@pytest.mark.parametrize("sizes, message", [
    (dict(block=(1025,)), r"block \(1025, 1, 1\): x must be 1 to 1024"),
    (dict(block=(1, 1, 65)), r"z must be 1 to 64"),
    (dict(block=(32, 33)), r"block \(32, 33, 1\) has 1056 threads, more than 1024"),
    (dict(grid=(0,)), r"grid \(0, 1, 1\): x must be 1 to 2147483647"),
    (dict(grid=(1, 65536)), r"y must be 1 to 65535"),
    (dict(grid=(1, 1, 65536)), r"z must be 1 to 65535"),
    (dict(shared_mem=48 * 1024 + 1), r"shared_mem must be 0 to 49152 .*, got 49153"),
])
def test_limits_of_a_launch(sizes, message):
    with pytest.raises(KernelError, match=message):
        launch(EMPTY, **sizes)


def test_grid_and_block_are_tuples():
    with pytest.raises(TypeError, match=r"f: grid and block must be tuples, got 1 and \(1,\)"):
        xp.RawKernel(EMPTY, "f")(1, (1,), ())


def test_limits_of_shared_memory():
    code = r"""
    extern "C" __global__ void large() { __shared__ float x[48 * 256 + 1]; x[0] = 0; }
    extern "C" __global__ void both(float *out) {
        __shared__ char x[1024];
        extern __shared__ char y[];
        x[0] = y[60 * 1024] = 1;
        *out = x[0] + y[60 * 1024];
    }"""
    with pytest.raises(KernelError, match=r"large: kernel\.cu:2 .* grows to 49156 bytes, more than 49152"):
        launch(code, name="large", block=(1,))
    kernel = xp.RawModule(code=code).get_function("both")
    out = xp.zeros(1, np.float32)
    with pytest.raises(KernelError, match=r"kernel\.cu:4 .* 1024 static and 48200 dynamic bytes, more than 49152"):
        kernel((1,), (1,), (out,), shared_mem=48200)
    kernel.max_dynamic_shared_size_bytes = 64 * 1024
    kernel((1,), (1,), (out,), shared_mem=64 * 1024)
    assert out == 2
    with pytest.raises(KernelError, match="must be 0 to 232448, got 232449"):
        kernel.max_dynamic_shared_size_bytes = 227 * 1024 + 1


# ------------------------------------------------------------------------------ errors while it runs

AT = r"thread \(\d+,0,0\) of block \(0,0,0\): "
ERRORS = {  # name: (the kernel's body, message)
    "divergence": (
        "if (threadIdx.x < 16) __syncthreads();\n else __syncthreads();",
        r"f: block \(0,0,0\): its threads wait at different barriers: thread \(0,0,0\) and 15 more wait in "
        r"__syncthreads at kernel.cu:1; thread \(16,0,0\) and 15 more wait in __syncthreads at kernel.cu:2",
    ),
    "ended lane": (
        "if (threadIdx.x == 5) return;\n __shfl_sync(0xffffffff, 1, 0);",
        r"deadlock: thread \(0,0,0\) and 30 more wait in __shfl_sync at kernel.cu:2; 1 has ended",
    ),
    "deadlock": (
        "if (threadIdx.x)\n __syncthreads();\n else __syncwarp();",
        r"deadlock: thread \(0,0,0\) waits in __syncwarp at kernel.cu:3; "
        r"thread \(1,0,0\) and 30 more wait in __syncthreads at kernel.cu:2",
    ),
    "two calls": (
        "if (threadIdx.x)\n __any_sync(~0u, 1);\n else __all_sync(~0u, 1);",
        r"must make the same call with the same mask: thread \(0,0,0\) waits in __all_sync at kernel.cu:3; ",
    ),
    "mask": ("__shfl_sync(1, 0, 0);", AT + r"__shfl_sync is called by lane \d+, which is not in its mask"),
    "assert": ("\nassert(threadIdx.x < 3);", r"kernel.cu:2 in " + AT + "assertion `threadIdx.x < 3` failed"),
    "address": ("*(volatile int *)threadIdx.x = 1;", AT + r"accessed address \S+, which is not mapped"),
    "zero": ("volatile int x = 0; x = 7 / x;", AT + "integer division by zero"),
    "stack": (
        "__syncthreads();\n if (threadIdx.x == 31) *(volatile char *)__builtin_alloca(100000) = 1;",
        AT + r"accessed address \S+, which is not mapped, or overflowed its stack of 64 KiB",
    ),
}


@pytest.mark.parametrize("body, message", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("mode", [{}, dict(shuffle=0)], ids=str)
def test_errors_while_it_runs(body, message, mode):
    if mode:  # any thread may be the first
        message = re.sub(r"\\\(\d+,0,0\\\)", r"\\(\\d+,0,0\\)", message).split(" wait")[0]
    with emulator.mode(**mode), pytest.raises(KernelError, match=message):
        launch(f'extern "C" __global__ void f() {{ {body} }}')
    assert launch('extern "C" __global__ void f(int *x) { *x = 1; }', zeros(1, dtype="int32")) == 1  # it goes on


@pytest.mark.parametrize("mode", [{}, dict(sanitize=True)], ids=str)
def test_printf(capsys, mode):
    code = r"""
    extern "C" __global__ void f(float x) {
        printf("block %d", blockIdx.x);
        printf(": %.3f %s\n", x, "ok");
    }"""
    with emulator.mode(**mode):
        launch(code, np.float32(0.5), grid=(2,), block=(1,))
    assert capsys.readouterr().out == "block 0: 0.500 ok\nblock 1: 0.500 ok\n"


@pytest.mark.parametrize("capture, out", [("capfd", "now\n"), ("capsys", "")])
def test_printf_while_debugging(request, capture, out):
    """It writes immediately, and so not through Python."""
    captured = request.getfixturevalue(capture)
    with emulator.mode(debug=True):
        launch(r'extern "C" __global__ void f() { printf("now\n"); }', block=(1,))
    assert captured.readouterr().out == out
