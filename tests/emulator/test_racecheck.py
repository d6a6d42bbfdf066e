"""mode(racecheck=True): races and uninitialized shared memory, in kernels that may be right in all other modes."""

import re
import shutil

import numpy as np
import pytest

from emulator_checks import launch, zeros
from tinynet import emulator
from tinynet.emulator import compiler, racecheck

IN_BLOCK = r"no __syncthreads\(\) comes between$"
IN_WARP = r"no __syncthreads\(\) or __syncwarp\(\) comes between$"
OF_BLOCKS = "nothing orders the blocks of a launch$"
NOBODY = "which no thread of the block has written$"
S = "__shared__ float s[64];\n"

# Each runs with 2 blocks of 64 threads on x = 0, 1, 2, ... and y = zeros, with 256 bytes of dynamic shared memory.
# name: (the kernel's body, in which "//" marks the lines of the accesses; the message)
BROKEN = {
    "a sum by all threads": (
        S + "if (t == 0) s[0] = 0;\n __syncthreads();\n s[0] += x[t];  //",
        rf"thread \(0,0,0\) .*: race: reads s\[0\], which thread \(63,0,0\) writes at .*; {IN_BLOCK}",
    ),
    "every thread writes the same place": (
        S + "s[0] = x[t];  //",
        rf"thread \(1,0,0\) .*: race: writes s\[0\], which thread \(0,0,0\) writes at .*; {IN_WARP}",
    ),
    "no barrier between writing and reading": (
        S + "s[t] = x[t];  //\n y[t] = s[63 - t];  //",
        rf"thread \(32,0,0\) .*: race: writes s\[32\], which thread \(31,0,0\) reads at .*; {IN_BLOCK}",
    ),
    "no barrier between reading and writing again": (
        S + "s[t] = x[t];\n __syncthreads();\n float a = s[63 - t];  //\n s[t] = a;  //",
        rf"race: reads s\[63\], which thread \(63,0,0\) writes at .*; {IN_BLOCK}",
    ),
    "no barrier at the end of a loop": (
        S + "for (int i = 0; i < 128; i += 64) {\n s[t] = x[t];  //\n __syncthreads();\n y[t] = s[63 - t];  //\n }",
        rf"race: reads s\[63\], which thread \(63,0,0\) writes at .*; {IN_BLOCK}",
    ),
    "lanes of a warp without __syncwarp": (
        S + "s[t] = x[t];  //\n y[t] = s[t ^ 1];  //",
        rf"thread \(1,0,0\) .*: race: writes s\[1\], which thread \(0,0,0\) reads at .*; {IN_WARP}",
    ),
    "a shuffle does not order memory": (
        S + "s[t] = x[t];  //\n float a = __shfl_xor_sync(0xffffffff, x[t], 1);\n y[t] = a + s[t ^ 1];  //",
        rf"race: reads s\[30\], which thread \(30,0,0\) writes at .*; {IN_WARP}",
    ),
    "__syncwarp between two warps": (
        S + "s[t] = x[t];  //\n __syncwarp();\n y[t] = s[t ^ 32];  //", rf"race: writes s\[63\], .*; {IN_BLOCK}",
    ),
    "__syncwarp of other lanes": (
        S + "s[t] = x[t];  //\n __syncwarp(t % 32 < 16 ? 0xffff : 0xffff0000);\n y[t] = s[t ^ 16];  //",
        rf"race: writes s\[31\], which thread \(15,0,0\) reads at .*; {IN_WARP}",
    ),
    "many read, then __syncwarp, then one writes": (
        S + "s[t] = 1;\n __syncthreads();\n y[t] = s[0];  //\n __syncwarp();\n if (t == 0) s[0] = 2;  //",
        rf"race: .* s\[0\], which thread .*; {IN_BLOCK}",
    ),
    "many read, then __syncwarp, then the last one writes": (
        S + "s[t] = 1;\n __syncthreads();\n y[t] = s[0];  //\n __syncwarp();\n if (t == 63) s[0] = 2;  //",
        rf"race: .* s\[0\], which thread .*; {IN_BLOCK}",
    ),
    "many read, then __syncwarp, then the first one writes": (
        "if (blockIdx.x) return;\n float a = y[0];  //\n __syncwarp();\n if (t == 0) y[0] = a;  //",
        rf"thread \(0,0,0\) .*: race: writes y\[0\], which thread \(63,0,0\) reads at .*; {IN_BLOCK}",
    ),
    "after a __syncwarp": (
        S + "s[t] = x[t];\n __syncwarp();\n s[t] = x[t] + 1;  //\n y[t] = s[t ^ 1];  //",
        rf"race: .* s\[\d+\], which thread .*; {IN_WARP}",
    ),
    "an atomic sum, and a plain read": (
        S + "s[t] = 0;\n __syncthreads();\n atomicAdd(s, x[t]);  //\n if (t == 63) y[0] = s[0];  //",
        rf"race: atomically changes s\[0\], which thread \(63,0,0\) reads at .*; {IN_BLOCK}",
    ),
    "dynamic shared memory": (
        "extern __shared__ float s[];\n s[t] = x[t];\n __syncthreads();\n s[t] += s[63 - t];  //",
        rf"race: reads byte 252 of dynamic shared memory, which thread \(63,0,0\) writes at .*; {IN_BLOCK}",
    ),
    "four numbers at once": (
        "__shared__ __align__(16) float s[64];\n s[t] = x[t];  //\n if (t == 63) *(float4 *)y = *(float4 *)&s[8];  //",
        rf"race: reads s\[8\], which thread \(8,0,0\) writes at .*; {IN_BLOCK}",
    ),
    "bytes": (
        "__shared__ unsigned char s[64];\n s[t] = t;  //\n y[t] = s[t ^ 1];  //",
        rf"race: writes s\[1\], which thread \(0,0,0\) reads at .*; {IN_WARP}",
    ),
    "neighbors in global memory": (
        "if (blockIdx.x) return;\n y[t] = x[t];  //\n x2[t] = y[t + 1];  //",
        rf"thread \(1,0,0\) .*: race: writes y\[1\], which thread \(0,0,0\) reads at .*; {IN_WARP}",
    ),
    "blocks": (
        "y[t] = x[t];  //",
        rf"block \(1,0,0\): race: writes y\[0\], which thread \(0,0,0\) of block \(0,0,0\) writes at .*; {OF_BLOCKS}",
    ),
    "a sum over blocks": (
        "if (t == 0) y[0] += x[t];  //",
        rf"race: reads y\[0\], which thread \(0,0,0\) of block \(0,0,0\) writes at .*; {OF_BLOCKS}",
    ),
    "a variable of the device": (
        "if (t == 0) total += x[t];  //", rf"race: reads the memory at 0x\w+, which thread .*; {OF_BLOCKS}"
    ),
    "an element that nobody writes": (
        S + "if (t) s[t] = x[t];\n __syncthreads();\n y[t] = s[63 - t];  //",
        rf"thread \(63,0,0\) of block \(0,0,0\): uninitialized: reads s\[0\], {NOBODY}",
    ),
    "an accumulator that nobody sets": (
        S + "if (t < 3) s[t] += x[t];  //\n __syncthreads();",
        rf"thread \(0,0,0\) of block \(0,0,0\): uninitialized: reads s\[0\], {NOBODY}",
    ),
    "an atomic accumulator that nobody sets": (
        "__shared__ int count;\n atomicAdd(&count, 1);  //", rf"uninitialized: reads count, {NOBODY}"
    ),
    "a column too many": (
        "__shared__ float tile[4][17];\n tile[t / 16][t % 16] = x[t];\n __syncthreads();\n float sum = 0;\n"
        "for (int i = 0; i <= 16; i++) sum += tile[t / 16][i];  //\n y[t] = sum;",
        rf"uninitialized: reads tile\[3\]\[16\], {NOBODY}",
    ),
    "what comes first is what is reported": (
        S + "if (t == 0) y[0] = s[5];  //\n __syncthreads();\n s[0] = 1;",
        rf"thread \(0,0,0\) of block \(0,0,0\): uninitialized: reads s\[5\], {NOBODY}",
    ),
    "half of a number": (
        "__shared__ short s[2];\n if (t) return;\n s[1] = 1;\n *(int *)y = *(int *)s;  //",
        rf"uninitialized: reads s\[0\], {NOBODY}",
    ),
    "what the previous block left": (
        "__shared__ int n;\n if (blockIdx.x == 0 && t == 0) n = 5;\n if (blockIdx.x == 1 && t == 0) y[0] = n;  //",
        rf"thread \(0,0,0\) of block \(1,0,0\): uninitialized: reads n, {NOBODY}",
    ),
}  # fmt: skip
RIGHT = {
    "a barrier": S + "s[t] = x[t];\n __syncthreads();\n y[i] = s[63 - t];",
    "a counting barrier": S + "s[t] = x[t];\n __syncthreads_count(t);\n y[i] = s[63 - t];",
    "__syncwarp": S + "s[t] = x[t];\n __syncwarp();\n y[i] = s[t ^ 31];\n __syncwarp();\n s[t] = 0;",
    "__syncwarp of half a warp, twice": S + "s[t] = x[t];\n __syncwarp(t % 32 < 16 ? 0xffff : 0xffff0000);\n"
    "y[i] = s[t ^ 15];\n __syncwarp();\n y[i] = s[t ^ 16];",
    "atomics": S + "s[t] = 0;\n __syncthreads();\n atomicAdd(s, x[t]);\n atomicMax((int *)y, t);",
    "an atomic sum, read after a barrier": "__shared__ int n;\n if (t == 0) n = 0;\n __syncthreads();\n"
    "atomicAdd(&n, 1);\n __syncthreads();\n y[i] = n;",
    "all read the same": S + "s[t] = x[t];\n __syncthreads();\n y[i] = s[0] + x[0];\n __syncthreads();\n s[t] = 1;",
    "neighboring bytes": "__shared__ char s[64];\n s[t] = t;\n char *b = (char *)y;\n b[i] = s[t];",
    "threads that end early": S + "if (t >= 20) return;\n s[t] = x[t];\n __syncthreads();\n y[i] = s[19 - t];",
    "local arrays": "float a[8];\n for (int j = 0; j < 8; j++) a[j] = x[j + t];\n y[i] = a[t % 8];",
    "four numbers at once": "__shared__ __align__(16) float s[64];\n if (t < 16) ((float4 *)s)[t] = ((float4 *)x)[t];\n"
    "__syncthreads();\n y[i] = s[t];",
    "blocks that order themselves": "if (t == 0) {\n y[0] = 1;\n __threadfence();\n y[0] = 2;\n }",
}  # fmt: skip


def kernel(body):
    return (
        '__device__ float total;\nextern "C" __global__ void f(const float *x, float *y, float *x2) {\n'
        f" int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;\n {body}\n}}\n"
    )


def run(code, **mode):
    with emulator.mode(racecheck=True, **mode):
        x = np.arange(128, dtype=np.float32)
        return launch(code, x, zeros(128), zeros(128), grid=(2,), block=(64,), shared_mem=256)


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name):
    """The message names both lines, both threads, and the element."""
    body, message = BROKEN[name]
    code = kernel(body)
    with pytest.raises(emulator.KernelError) as caught:
        run(code)
    said = str(caught.value)
    assert re.match(r"f: kernel.cu:\d+ in thread \(", said), said
    assert re.search(message, said), said
    marked = {str(i) for i, line in enumerate(code.split("\n"), 1) if line.endswith("//")}
    assert set(re.findall(r"kernel.cu:(\d+)", said)) == marked, said


@pytest.mark.parametrize("name", RIGHT)
def test_right(name):
    run(kernel(RIGHT[name]))
    run(kernel(RIGHT[name]), shuffle=1)


@pytest.mark.parametrize("name", BROKEN)
def test_no_order_of_the_threads_hides_it(name):
    """What is tracked is what orders the accesses, not the order in which they happen."""
    for seed in (1, 2):
        with pytest.raises(emulator.KernelError, match=r": (race|uninitialized): "):
            run(kernel(BROKEN[name][0]), shuffle=seed)


def test_what_was_found_does_not_stay():
    """A launch after one that failed, and one after one that did not, begin with nothing recorded."""
    with pytest.raises(emulator.KernelError, match="race"):
        run(kernel(BROKEN["blocks"][0]))
    for _ in range(2):
        run(kernel(RIGHT["a barrier"]))


def test_a_line_in_a_function_and_in_an_included_file(tmp_path):
    (tmp_path / "inner.cuh").write_text("\n__device__ void add(float *s, float x) {\n    *s += x;\n}\n")
    code = '#include "inner.cuh"\nextern "C" __global__ void f(float *y) { add(y, 1); }\n'
    line = re.escape(f"{tmp_path}/inner.cuh:3")
    message = rf"^f: {line} in thread .* reads y\[0\], which thread \(0,0,0\) writes at {line};"
    with emulator.mode(racecheck=True), pytest.raises(emulator.KernelError, match=message):
        launch(code, zeros(1), options=(f"-I{tmp_path}",))


def test_a_view_is_named_as_the_argument_that_it_is():
    code = 'extern "C" __global__ void f(float *, float *to) { to[5] = 1; }'
    whole = emulator.xp.zeros(100)[:50].view("float32")
    f = emulator.xp.RawModule(code=code).get_function("f")
    with emulator.mode(racecheck=True), pytest.raises(emulator.KernelError, match=r"writes to\[5\], which"):
        f((1,), (2,), (whole[50:], whole[:50]))


def test_without_the_tools(monkeypatch):
    flags = racecheck.flags.__wrapped__
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match=r"mode\(racecheck=True\) needs addr2line"):
        flags()

    def build(*_):
        raise compiler.CompileError("first\nerror: unsupported option '-fsanitize=thread'")

    monkeypatch.setattr(compiler, "build", build)
    with pytest.raises(RuntimeError, match=r"needs a compiler with -fsanitize=thread, g\+\+ or clang\+\+; .*: error"):
        flags()


def test_accesses_are_counted():
    code = r"""extern "C" __global__ void f(const double *x, float *y, int *n, float *unused) {
        __shared__ float s[64];
        float own[2] = {(float)x[0], 5};
        s[threadIdx.x] = x[threadIdx.x] + own[threadIdx.x % 2];
        __syncthreads();
        if (threadIdx.x < 8) ((float4 *)y)[threadIdx.x] = {s[0], s[1], s[2], s[3]};
        atomicAdd(n, 1);
    }"""
    args = np.arange(64.0), zeros(64), zeros(1, dtype="int32"), zeros(1)
    with emulator.accesses() as counted:
        with emulator.mode(racecheck=True):
            launch(code, *args, block=(64,))
            assert counted == {("x", "load"): 2 * 64, ("y", "store"): 32, ("n", "atomic"): 64}
            launch(code, *args, block=(64,))
        launch(code, *args, block=(64,))  # not in the mode
    assert counted == {("x", "load"): 4 * 64, ("y", "store"): 64, ("n", "atomic"): 128}


def test_a_variable_that_is_not_set_shows():
    """Its value is not 0, as it often is by luck."""
    sum = "float sum;\n for (int j = 0; j < t % 2; j++) sum += x[j];\n if (blockIdx.x == 0) y[t] = sum;"
    _, y, _ = run(kernel(sum))
    assert not (np.abs(y[:64]) < 1e6).any()  # clang++'s pattern is a NaN
