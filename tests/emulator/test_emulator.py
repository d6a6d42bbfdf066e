"""The emulator compiles and runs CUDA kernels as a GPU would, and catches what a GPU would not."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinynet import emulator
from tinynet.emulator import compiler, xp

CompileException = xp.cuda.compiler.CompileException
KernelError = emulator.KernelError


def launch(code, *args, grid=(1,), block=(32,), shared_mem=0, options=(), name="f"):
    """Runs a kernel on copies of the NumPy arrays among args; returns the copies, as NumPy arrays."""
    kernel = xp.RawModule(code=code, options=options).get_function(name)
    args = [xp.asarray(a) if isinstance(a, np.ndarray) and a.dtype.kind != "V" else a for a in args]
    kernel(grid, block, tuple(args), shared_mem=shared_mem)
    results = [a.get() for a in args if isinstance(a, xp.ndarray)]
    return results[0] if len(results) == 1 else results


DTYPES = {  # of C++ types
    "int": np.int32, "unsigned": np.uint32, "unsigned long long": np.uint64, "float": np.float32, "double": np.float64,
}  # fmt: skip


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


# ------------------------------------------------------------------------------ threads and memory


def test_every_thread_of_a_grid_knows_its_place():
    code = r"""
    extern "C" __global__ void f(int *out) {
        int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
        int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
        int threads = blockDim.x * blockDim.y * blockDim.z;
        dim3 size = blockDim;
        atomicAdd(&out[block * threads + thread], size.x * 100 + gridDim.z * 10 + threadIdx.z);
    }"""
    out = launch(code, zeros(7 * 3 * 2, 5 * 2 * 3, dtype=np.int32), grid=(7, 3, 2), block=(5, 2, 3))
    np.testing.assert_array_equal(out, np.broadcast_to(520 + np.arange(30) // 10, (42, 30)))


def test_many_blocks_run_on_several_threads(monkeypatch):
    monkeypatch.setattr(emulator.runtime, "WORKERS", 4)
    code = r"""
    extern "C" __global__ void f(int *count, float *out) {
        __shared__ float mine[64];
        mine[threadIdx.x] = blockIdx.x;
        __syncthreads();
        out[blockIdx.x * 64 + threadIdx.x] = mine[63 - threadIdx.x];
        atomicAdd(count, 1);
    }"""
    count, out = launch(code, zeros(1, dtype=np.int32), zeros(5000, 64), grid=(5000,), block=(64,))
    assert count == 5000 * 64
    np.testing.assert_array_equal(out, np.broadcast_to(np.arange(5000)[:, None], out.shape))


GEMM = r"""
template <int TILE> __device__ void multiply(const float *a, const float *b, float *c, int n) {
    __shared__ float as[TILE][TILE + 1], bs[TILE][TILE];  // two in one declaration
    int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;
    for (int k = 0; k < n; k += TILE) {
        as[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];
        bs[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + column];
        __syncthreads();
        #pragma unroll
        for (int i = 0; i < TILE; i++) sum += as[threadIdx.y][i] * bs[i][threadIdx.x];
        __syncthreads();
    }
    c[row * n + column] = sum;
}
extern "C" __global__ void static_tiles(const float *a, const float *b, float *c, int n) { multiply<8>(a, b, c, n); }

extern "C" __global__ void dynamic_tiles(const float *a, const float *b, float *c, int n) {
    const int TILE = 8;
    extern __shared__ __align__(16) float memory[][TILE];
    float(*as)[TILE] = memory, (*bs)[TILE] = memory + TILE;
    int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;
    for (int k = 0; k < n; k += TILE) {
        as[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];
        bs[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + column];
        __syncthreads();
        for (int i = 0; i < TILE; i++) sum += as[threadIdx.y][i] * bs[i][threadIdx.x];
        __syncthreads();
    }
    c[row * n + column] = sum;
}
"""


@pytest.mark.parametrize(("name", "bytes"), [("static_tiles", 0), ("dynamic_tiles", 2 * 8 * 8 * 4)])
@pytest.mark.parametrize("mode", [{}, dict(shuffle=1), dict(debug=True), dict(sanitize=True)], ids=str)
def test_tiled_product(rng, name, bytes, mode):
    a, b = rng.standard_normal((2, 32, 32)).astype(np.float32)
    with emulator.mode(**mode):
        *_, c = launch(
            GEMM, a, b, zeros(32, 32), np.int32(32), grid=(4, 4), block=(8, 8), shared_mem=bytes, name=name
        )
    np.testing.assert_allclose(c, a @ b, rtol=1e-5, atol=1e-5)


def test_each_instance_of_a_template_has_its_own_shared_memory():
    code = r"""
    template <int N> __device__ float *mine() {
        __shared__ float x[N];
        return x;
    }
    extern "C" __global__ void f(int *out) {
        float *a = mine<1>(), *b = mine<2>(), *c = mine<1>();
        __shared__ float d, e;
        out[threadIdx.x] = (a != b) + 2 * (a == c) + 4 * (&d != &e);
    }"""
    np.testing.assert_array_equal(launch(code, zeros(2, dtype=np.int32), block=(2,)), 7)


def test_what_nobody_wrote_shows():
    code = r"""
    extern "C" __global__ void f(float *out, int *number) {
        __shared__ float x[4];
        __shared__ int i;
        extern __shared__ float y[];
        out[2 * blockIdx.x] = x[3], out[2 * blockIdx.x + 1] = y[0], *number = i;
        x[3] = y[0] = i = 5;  // which the next block must not see
    }"""
    out, number = launch(code, zeros(2, 2), zeros(1, dtype=np.int32), grid=(2,), block=(1,), shared_mem=4)
    assert np.isnan(out).all()
    assert number == -1
    assert np.isnan(xp.empty((500, 500), np.float32).get()).all()


def test_constants_and_globals():
    code = r"""
    __constant__ float powers[3] = {1, 10, 100};
    __device__ int twice(int x) { return 2 * x; }
    __device__ __forceinline__ int thrice(int x) { return 3 * x; }
    extern "C" __global__ void f(float *out) { out[threadIdx.x] = twice(thrice(powers[threadIdx.x])); }"""
    assert launch(code, zeros(3), block=(3,)).tolist() == [6, 60, 600]


# ------------------------------------------------------------------------------ barriers, votes, shuffles


def test_threads_that_have_ended_keep_nobody_waiting():
    code = r"""
    extern "C" __global__ void f(float *out) {
        if (threadIdx.x >= 20) return;
        __shared__ float x[20];
        x[threadIdx.x] = threadIdx.x;
        __syncthreads();
        out[threadIdx.x] = x[19 - threadIdx.x];
    }"""
    assert launch(code, zeros(20)).tolist() == [*range(19, -1, -1)]


def test_votes_of_a_block():
    code = r"""
    extern "C" __global__ void f(int *out) {
        int i = threadIdx.x;
        int count = __syncthreads_count(i % 3 == 0), any = __syncthreads_or(i == 99), all = __syncthreads_and(i < 100);
        int none = __syncthreads_or(i < 0), most = __syncthreads_and(i < 99);
        out[i] = count * 10000 + any * 1000 + all * 100 + none * 10 + most;
    }"""
    np.testing.assert_array_equal(launch(code, zeros(100, dtype=np.int32), block=(100,)), 341100)


SHUFFLES = {  # name: the lane that `lane` reads from, in a segment that begins at `first` and is `width` wide
    "__shfl_sync": lambda lane, n, first, width: first + n % width,
    "__shfl_up_sync": lambda lane, n, first, width: lane if lane - n < first else lane - n,
    "__shfl_down_sync": lambda lane, n, first, width: lane if lane + n >= first + width else lane + n,
    "__shfl_xor_sync": lambda lane, n, first, width: lane if lane ^ n >= first + width else lane ^ n,
}


@pytest.mark.parametrize("name", SHUFFLES)
@pytest.mark.parametrize("type", ["int", "float", "double", "unsigned long long"])
def test_shuffles(name, type, rng):
    code = f"""
    extern "C" __global__ void f(const {type} *x, {type} *out, int n) {{
        out[threadIdx.x] = {name}(0xffffffff, x[threadIdx.x], n);
        out[64 + threadIdx.x] = {name}(0xffffffff, x[threadIdx.x], n, 8);
    }}"""
    dtype = DTYPES[type]
    x = (rng.standard_normal(64) * 1000).astype(np.int64).astype(dtype)
    for n in (1, 3, 5, 7, 16) if type == "float" else (3,):
        _, out = launch(code, x, zeros(2, 64, dtype=dtype), np.int32(n), block=(64,))
        for row, width in ((0, 32), (1, 8)):
            source = [SHUFFLES[name](lane, n, lane // width * width, width) for lane in range(32)]
            np.testing.assert_array_equal(out[row], x[[*source, *(32 + lane for lane in source)]])


@pytest.mark.parametrize("mode", [{}, dict(shuffle=3)], ids=str)
def test_sum_over_a_warp_and_a_block(rng, mode):
    code = r"""
    extern "C" __global__ void f(const float *x, float *out) {
        __shared__ float sums[4];
        float sum = x[threadIdx.x];
        for (int d = 16; d; d /= 2) sum += __shfl_down_sync(0xffffffff, sum, d);
        if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
        __syncthreads();
        if (threadIdx.x == 0) *out = sums[0] + sums[1] + sums[2] + sums[3];
    }"""
    x = rng.standard_normal(128).astype(np.float32)
    with emulator.mode(**mode):
        _, total = launch(code, x, zeros(1), block=(128,))
    np.testing.assert_allclose(total, x.sum(), rtol=1e-5)


@pytest.mark.parametrize("mode", [{}, dict(shuffle=3)], ids=str)
def test_parts_of_a_warp_go_their_own_ways(mode):
    code = r"""
    extern "C" __global__ void f(int *out) {
        int i = threadIdx.x, x = i;
        if (i < 8)  // these eight talk more often than those
            for (int d = 1; d < 8; d *= 2) x += __shfl_xor_sync(0x000000ff, x, d);
        else
            x = __shfl_sync(0xffffff00, x, 31);
        __syncwarp();
        out[i] = x + 1000 * __popc(__ballot_sync(0xffffffff, i % 2));
    }"""
    with emulator.mode(**mode):
        out = launch(code, zeros(32, dtype=np.int32))
    assert out.tolist() == [16028] * 8 + [16031] * 24


def test_votes_of_a_warp_and_a_short_warp():
    code = r"""
    extern "C" __global__ void f(unsigned *ballot, int *votes, float *beyond) {
        int i = threadIdx.x;
        ballot[i] = __ballot_sync(0xffffffff, i & 1);
        votes[i] = __any_sync(0xffffffff, i == 33) + 2 * __all_sync(0xffffffff, i >= 32);
        beyond[i] = __shfl_down_sync(0xffffffff, 1.f, 1);
    }"""
    ballot, votes, beyond = launch(
        code, zeros(36, dtype=np.uint32), zeros(36, dtype=np.int32), zeros(36), block=(36,)
    )
    assert set(ballot[:32]) == {0xAAAAAAAA}
    assert set(ballot[32:]) == {0b1010}
    assert votes.tolist() == [0] * 32 + [3] * 4
    assert np.isnan(beyond[35])  # there is no lane 4 in the last warp
    assert (beyond[:35] == 1).all()


# ------------------------------------------------------------------------------ atomics


@pytest.mark.parametrize("type", ["int", "unsigned", "unsigned long long", "float", "double"])
def test_atomic_add(type):
    code = f"""
    extern "C" __global__ void f({type} *sum, {type} *before) {{
        __shared__ {type} mine;
        if (threadIdx.x == 0) mine = 0;
        __syncthreads();
        before[blockIdx.x * 64 + threadIdx.x] = atomicAdd(&mine, 2);
        __syncthreads();
        if (threadIdx.x == 0) atomicAdd(sum, mine);
    }}"""
    dtype = DTYPES[type]
    total, before = launch(code, zeros(1, dtype=dtype), zeros(500, 64, dtype=dtype), grid=(500,), block=(64,))
    assert total == 500 * 64 * 2
    np.testing.assert_array_equal(np.sort(before, 1), np.broadcast_to(np.arange(0, 128, 2), before.shape))


def test_other_atomics():
    code = r"""
    extern "C" __global__ void f(int *x, unsigned *u, float *largest) {
        int i = threadIdx.x;
        atomicMax(&x[0], i * 7 % 32);
        atomicMin(&x[1], i * 7 % 32 - 5);
        atomicSub(&x[2], 1);
        atomicExch(&x[3], 9);
        atomicAnd(&x[4], ~(1 << i));
        atomicOr(&x[5], 1 << i);
        atomicXor(&x[6], i);
        atomicInc(&u[0], 5);
        atomicDec(&u[1], 4);
        float mine = i * 7 % 32 / 2.f;  // a maximum of floats, made of compare and swap
        int *bits = (int *)largest, old = *bits;
        while (__int_as_float(old) < mine) old = atomicCAS(bits, old, __float_as_int(mine));
    }"""
    x, u, largest = launch(code, np.array([0, 0, 0, 0, -1, 0, 0], np.int32), zeros(2, dtype=np.uint32), zeros(1))
    assert x.tolist() == [31, -5, -32, 9, 0, -1, 0]
    assert u.tolist() == [32 % 6, (-32) % 5]
    assert largest == 15.5


def test_cuda_has_no_such_atomic():
    with pytest.raises(CompileException, match="CUDA has no atomicMax for this type"):
        launch('extern "C" __global__ void f(float *x) { atomicMax(x, 1.f); }', zeros(1))


# ------------------------------------------------------------------------------ types and functions


def test_vectors():
    code = r"""
    static_assert(sizeof(float4) == 16 && alignof(float4) == 16 && sizeof(float3) == 12 && alignof(float3) == 4, "");
    static_assert(alignof(float2) == 8 && alignof(double2) == 16 && alignof(int4) == 16 && sizeof(char4) == 4, "");
    extern "C" __global__ void f(const float *x, float *y) {
        float4 v = *(const float4 *)(x + 4 * threadIdx.x), w = make_float4(v.w, v.z, v.y, v.x);
        ((float4 *)y)[threadIdx.x] = w;
        int2 i = make_int2(3, 4);
        uint3 u = make_uint3(1, 2, 3);
        if (threadIdx.x == 0) y[8] = i.x * 10 + i.y, y[9] = __ldg(x + 5) + u.z, y[10] = __ldg((const float2 *)x).y;
    }"""
    _, y = launch(code, np.arange(8, dtype=np.float32), zeros(11), block=(2,))
    assert y.tolist() == [3, 2, 1, 0, 7, 6, 5, 4, 34, 8, 1]


def test_integers(rng):
    code = r"""
    typedef unsigned long long u64;
    extern "C" __global__ void f(const u64 *x, u64 *out, int *bits) {
        int i = threadIdx.x;
        u64 a = x[i], b = x[31 - i];
        out[i] = __umul64hi(a, b);
        out[32 + i] = __umulhi((unsigned)a, (unsigned)b);
        out[64 + i] = __mulhi((int)a, (int)b);
        out[96 + i] = __funnelshift_l((unsigned)a, (unsigned)b, i + 1);
        out[128 + i] = __brev((unsigned)a);
        bits[i] = __popc((unsigned)a) + 100 * __popcll(a);
        bits[32 + i] = __clz((int)(a >> i)) + 100 * __ffs((int)(a << i));
    }"""
    x = rng.integers(0, 2**64, 32, dtype=np.uint64)
    _, out, bits = launch(code, x, zeros(5, 32, dtype=np.uint64), zeros(2, 32, dtype=np.int32))
    low, signed = (x & 0xFFFFFFFF).tolist(), x.astype(np.uint32).astype(np.int32).tolist()
    for i, (a, b) in enumerate(zip(x.tolist(), x.tolist()[::-1], strict=True)):
        assert out[0, i] == a * b >> 64
        assert out[1, i] == low[i] * low[31 - i] >> 32
        assert int(out[2, i]) == (signed[i] * signed[31 - i] >> 32) % 2**64
        assert out[3, i] == ((low[31 - i] << 32 | low[i]) << (i + 1 & 31) & (2**64 - 1)) >> 32
        assert out[4, i] == int(f"{low[i]:032b}"[::-1], 2)
        assert bits[0, i] == low[i].bit_count() + 100 * a.bit_count()
        shifted, left = a >> i & 0xFFFFFFFF, a << i & 0xFFFFFFFF
        assert bits[1, i] == 32 - shifted.bit_length() + 100 * ((left & -left).bit_length())


def test_maths():
    code = r"""
    extern "C" __global__ void f(const float *in, float *y, double *z) {
        float x = in[threadIdx.x];
        float results[] = {
            expf(x), exp(x), __expf(x), logf(x), log1pf(x), sqrtf(x), rsqrtf(x), powf(x, -0.75f), tanhf(x),
            fabsf(-x), fmaxf(x, 2), fminf(x, 2), max(x, 2.f), min(x, 2.f), erff(x), sinf(x), cosf(x),
            fmaf(x, x, x), __fdividef(1, x), floorf(x), ceilf(x), __fadd_rn(x, x), __fmul_rn(x, x),
            (float)max(2, (int)x), (float)min(2u, 1u), -INFINITY, isnan(NAN) + 2.f * isinf(INFINITY)};
        for (int i = 0; i < sizeof results / sizeof *results; i++) y[i] = results[i];
        z[0] = exp(1.0) + rsqrt(4.0) + max(1.0, 2.5f) + pow(2.0, 0.5);
    }"""
    x = np.float32(1.7)
    _, y, z = launch(code, zeros(1) + x, zeros(27), zeros(1, dtype=np.float64), block=(1,))
    x = float(x)
    e = np.exp(x)
    expected = [e, e, e, np.log(x), np.log1p(x), x**0.5, x**-0.5, x**-0.75, np.tanh(x), x, 2, x, 2, x, 0.983790459]
    expected += [np.sin(x), np.cos(x), x * x + x, 1 / x, 1, 2, 2 * x, x * x, 2, 1, -np.inf, 3]
    np.testing.assert_allclose(y, expected, rtol=3e-7)
    np.testing.assert_allclose(z, np.exp(1) + 0.5 + 2.5 + 2**0.5, rtol=1e-15)


def test_rounding_to_tf32():
    """To 10 bits behind the point, ties away from zero."""
    code = r"""
    extern "C" __global__ void f(const float *x, float *y) {
        y[threadIdx.x] = __uint_as_float(emulated_to_tf32(x[threadIdx.x]));
    }"""
    step = 2.0**-10  # of numbers in [1, 2)
    x = np.array([1, 1 + step, 1 + 0.49 * step, 1 + 0.5 * step, -1 - 0.5 * step, 1 + 0.51 * step, 3e38, np.inf])
    _, y = launch(code, x.astype(np.float32), zeros(8), block=(8,))
    assert y[:6].tolist() == [1, 1 + step, 1, 1 + step, -1 - step, 1 + step]
    assert y[6] == np.float32(3e38).view(np.uint32).__add__(np.uint32(0x1000)).__and__(np.uint32(0xFFFFE000)).view(
        np.float32
    )
    assert y[7] == np.inf


@pytest.mark.parametrize("mode", [{}, dict(shuffle=1), dict(sanitize=True)], ids=str)
def test_tensor_cores(rng, mode):
    """d += a @ b for a (16, 8), b (8, 8), d (16, 8), handed out over the lanes as PTX describes it."""
    code = r"""
    extern "C" __global__ void f(const float *A, const float *B, float *D) {
        int group = threadIdx.x >> 2, thread = threadIdx.x % 4;
        unsigned a[4], b[2];
        float d[4];
        for (int i = 0; i < 4; i++) {
            int row = i == 0 || i == 2 ? group : group + 8, column = i < 2 ? thread : thread + 4;
            a[i] = __float_as_uint(A[row * 8 + column]);
        }
        for (int i = 0; i < 2; i++) b[i] = __float_as_uint(B[(i ? thread + 4 : thread) * 8 + group]);
        for (int i = 0; i < 4; i++) d[i] = D[(i < 2 ? group : group + 8) * 8 + thread * 2 + (i & 1)];
        emulated_mma_m16n8k8_tf32(d, a, b);
        for (int i = 0; i < 4; i++) D[(i < 2 ? group : group + 8) * 8 + thread * 2 + (i & 1)] = d[i];
    }"""
    a, b, d = (rng.standard_normal(shape).astype(np.float32) for shape in ((16, 8), (8, 8), (16, 8)))
    with emulator.mode(**mode):
        *_, got = launch(code, a, b, d)
    a, b = ((x.view(np.uint32) & 0xFFFFE000).view(np.float32).astype(np.float64) for x in (a, b))
    np.testing.assert_allclose(got, d + a @ b, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------ source


def test_options_and_headers(tmp_path):
    (tmp_path / "scale.cuh").write_text(
        '#pragma once\n#include "scale.cuh"\n__device__ float scaled(float x) {\n'
        "    __shared__ float y[1];  // here too\n"
        "    y[0] = x * FACTOR;\n    return y[0];\n}\n"
    )
    (tmp_path / "list.h").write_text("ENTRY(1) ENTRY(2)\n")  # no #pragma once: it may come twice
    code = r"""
    #include "scale.cuh"
    #include "scale.cuh"
    // #include "nothing.h" and __shared__ in comments, and "in strings", are no concern
    #ifdef UNKNOWN
    extern "C" __global__ void g(Nonsense x) {}
    #endif
    #define ENTRY(n) + n
    extern "C" __global__ void f(T *x, int line) {
        const char *text = "{ __shared__ float x[2]; // no";
        if (line) *x = __LINE__;
        else *x = text[0] == '{' ? scaled(10
    #include "list.h"
    #include "list.h"
        ) : 0;
    }"""
    options = (f"-I{tmp_path}", "-DFACTOR=2", "-DT=double", "-DN", "-std=c++17")
    assert launch(code, zeros(1, dtype=np.float64), np.int32(0), block=(1,), options=options) == 32
    line = 1 + [text.strip()[:9] for text in code.split("\n")].index("if (line)")
    assert launch(code, zeros(1, dtype=np.float64), np.int32(1), block=(1,), options=options) == line


def test_ways_to_declare_a_kernel():
    code = r"""
    constexpr int SIZE = 32;
    extern "C" __global__ void before(int *x);
    extern "C" {
    __global__ void __launch_bounds__(2 * (SIZE - 16), 2) in_block(int *x) { *x = 1; }
    }
    #define KERNEL(n) \
        extern "C" __global__ void made_v##n(int *x) { *x = n; }
    KERNEL(2)
    KERNEL(3)
    extern "C" __launch_bounds__(SIZE) __global__ void
    last(
        int *__restrict__ x) {
        if (1) { *x = 4; }
    }
    extern "C" __global__ void before(int *x) { *x = 5; }
    __global__ void mangled(int *x) { *x = 6; }
    template <class T> __global__ void general(T x) {}
    """
    for value, name in enumerate(("in_block", "made_v2", "made_v3", "last", "before"), 1):
        assert launch(code, zeros(1, dtype=np.int32), name=name) == value
    with pytest.raises(AttributeError, match='no extern "C" __global__ function mangled, but in_block'):
        launch(code, zeros(1), name="mangled")
    for name in ("in_block", "last"):
        with pytest.raises(KernelError, match=r"block \(33, 1, 1\) has 33 threads, __launch_bounds__ says 32"):
            launch(code, zeros(1, dtype=np.int32), name=name, block=(33,))


def test_compile_errors_have_the_lines_of_the_source(tmp_path):
    with pytest.raises(CompileException, match=r"kernel\.cu:3:\d+: error: .*nonsense"):
        launch('extern "C" __global__ void f(int *x) {\n    __shared__ int y[2];\n    nonsense;\n}')
    path = tmp_path / "mine.cu"
    path.write_text('#define A\n\nextern "C" __global__ void f(int *x) {\n    // hm\n    *x = oops;\n}\n')
    code = f'typedef float T;\n#line 1 "{path}"\n{path.read_text()}'
    with pytest.raises(CompileException, match=rf"{re.escape(str(path))}:5:\d+: error: .*oops") as caught:
        launch(code)
    assert "*x = oops;" in str(caught.value)  # the compiler shows the line itself
    (tmp_path / "part.cuh").write_text("\n\nint x = wrong;\n")
    with pytest.raises(CompileException, match=r"part\.cuh:3:\d+: error: .*wrong"):
        launch('#include "part.cuh"\n', options=(f"-I{tmp_path}",))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("\n#include <cmath>\n", r"kernel\.cu:2: error: #include <cmath>: .*NVRTC.* has no headers"),
        ('#include "none.cuh"\n', r'kernel\.cu:1: error: #include "none.cuh": no such file'),
        ('extern "C" __global__ void f() { std::sort(0, 0); }', "sort"),
        ('extern "C" __global__ void f() { threadIdx.x = 1; }', "read-only|const"),
    ],
)
def test_what_a_kernel_cannot_have(code, message):
    with pytest.raises(CompileException, match=message):
        launch(code)


def test_unknown_option():
    with pytest.raises(ValueError, match="knows the options -I, -D and -std, got '--use_fast_math'"):
        xp.RawModule(code="", options=("--use_fast_math",))
    with pytest.raises(TypeError, match="options must be a tuple, got list"):
        xp.RawModule(code="", options=["-DX"])


# ------------------------------------------------------------------------------ launches


PARAMETERS = """
struct Pair { int a; double b; };
extern "C" __global__ void f(const float *x, double *y, int n, float s, Pair pair, const bool *keep, unsigned char c) {
    if (y) y[0] = x[0] + n + s + pair.a + pair.b + (keep ? keep[0] : 0) + c;
}"""
PAIR = np.array((1000, 0.25), np.dtype([("a", np.int32), ("b", np.float64)], align=True))


def parameters(**changes):
    arguments = dict(
        x=zeros(1), y=zeros(1, dtype=np.float64), n=np.int32(10), s=np.float32(0.5), pair=PAIR,
        keep=np.ones(1, bool), c=np.uint8(200),
    )  # fmt: skip
    return [*(arguments | changes).values()]


def test_arguments_arrive():
    assert launch(PARAMETERS, *parameters())[1] == 1211.75
    assert launch(PARAMETERS, *parameters(keep=None))[1] == 1210.75
    assert launch(PARAMETERS, *parameters(pair=PAIR[()], keep=zeros(1, dtype=np.uint8)))[1] == 1210.75
    launch(PARAMETERS, *parameters(y=None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(n=10), r"2 \(int n\): expected a NumPy scalar, int32; got int \(CuPy would take it for 64 bits wide\)"),
        (dict(s=0.5), r"3 \(float s\): expected a NumPy scalar, float32; got float"),
        (dict(n=np.int64(1)), r"2 \(int n\): expected int32, got int64"),
        (dict(s=np.int32(1)), r"3 \(float s\): expected float32, got int32"),
        (dict(n=np.float32(1)), r"2 \(int n\): expected int32, got float32"),
        (dict(n=zeros(1, dtype=np.int32)), r"2 \(int n\): expected int32, got an array"),
        (dict(n=None), r"2 \(int n\): expected a NumPy scalar, int32; got NoneType"),
        (dict(pair=np.int32(1)), r"4 \(Pair pair\): expected a struct of 16 bytes, got int32"),
        (dict(x=np.float32(1)), r"0 \(const float \*x\): expected an array of the device, or None; got float32"),
        (dict(y=zeros(1)), r"1 \(double \*y\): expected an array of float64, got one of float32"),
        (dict(keep=zeros(1)), r"5 \(const bool \*keep\): expected an array of bool, got one of float32"),
    ],
    ids=lambda x: "" if isinstance(x, str) else str(*x),
)
def test_wrong_arguments(change, message):
    with pytest.raises(KernelError, match=f"^f: argument {message}"):
        launch(PARAMETERS, *parameters(**change))


def test_wrong_number_of_arguments():
    with pytest.raises(KernelError, match=r"^f: takes 7 arguments, got 8"):
        launch(PARAMETERS, *parameters(more=np.int32(1)))


def test_a_numpy_array_is_no_argument():
    kernel = xp.RawModule(code=PARAMETERS).get_function("f")
    with pytest.raises(KernelError, match="expected an array of the device, or None; got ndarray"):
        kernel((1,), (1,), tuple(parameters()))


def test_an_array_of_another_device():
    kernel = xp.RawModule(code='extern "C" __global__ void f(int *x) { *x = 7; }').get_function("f")
    with xp.cuda.Device(1):
        x = xp.zeros(1, np.int32)
        kernel((1,), (1,), (x,))
        assert x.item() == 7
    with pytest.raises(KernelError, match="the array is on emu:1, the current device is emu:0"):
        kernel((1,), (1,), (x,))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (dict(block=(1025,)), r"block \(1025, 1, 1\): x must be 1 to 1024"),
        (dict(block=(1, 1, 65)), r"z must be 1 to 64"),
        (dict(block=(32, 33)), r"block \(32, 33, 1\) has 1056 threads, more than 1024"),
        (dict(grid=(0,)), r"grid \(0, 1, 1\): x must be 1 to 2147483647"),
        (dict(grid=(1, 65536)), r"y must be 1 to 65535"),
        (dict(grid=(1, 1, 65536)), r"z must be 1 to 65535"),
        (dict(shared_mem=48 * 1024 + 1), r"shared_mem must be 0 to 49152 .*, got 49153"),
    ],
)
def test_limits_of_a_launch(sizes, message):
    with pytest.raises(KernelError, match=message):
        launch('extern "C" __global__ void f() {}', **sizes)


def test_grid_and_block_are_tuples():
    kernel = xp.RawKernel('extern "C" __global__ void f() {}', "f")
    with pytest.raises(TypeError, match=r"f: grid and block must be tuples, got 1 and \(1,\)"):
        kernel(1, (1,), ())


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


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "if (threadIdx.x < 16) __syncthreads();\n else __syncthreads();",
            r"f: block \(0,0,0\): its threads wait at different barriers: thread \(0,0,0\) and 15 more wait in "
            r"__syncthreads at kernel.cu:1; thread \(16,0,0\) and 15 more wait in __syncthreads at kernel.cu:2",
        ),
        (
            "if (threadIdx.x == 5) return;\n __shfl_sync(0xffffffff, 1, 0);",
            r"deadlock: thread \(0,0,0\) and 30 more wait in __shfl_sync at kernel.cu:2; 1 has ended",
        ),
        (
            "if (threadIdx.x)\n __syncthreads();\n else __syncwarp();",
            r"deadlock: thread \(0,0,0\) waits in __syncwarp at kernel.cu:3; "
            r"thread \(1,0,0\) and 30 more wait in __syncthreads at kernel.cu:2",
        ),
        (
            "if (threadIdx.x)\n __any_sync(~0u, 1);\n else __all_sync(~0u, 1);",
            r"must make the same call with the same mask: thread \(0,0,0\) waits in __all_sync at kernel.cu:3; ",
        ),
        ("__shfl_sync(1, 0, 0);", AT + r"__shfl_sync is called by lane \d+, which its mask does not name"),
        ("\nassert(threadIdx.x < 3);", r"kernel.cu:2 in " + AT + "assertion `threadIdx.x < 3` failed"),
        ("*(volatile int *)threadIdx.x = 1;", AT + r"it touched address \S+, where nothing is"),
        ("volatile int x = 0; x = 7 / x;", AT + "division of an integer by zero"),
        (
            "__syncthreads();\n if (threadIdx.x == 31) *(volatile char *)__builtin_alloca(100000) = 1;",
            AT + r"it touched address \S+, where nothing is, or filled its stack of 64 KiB",
        ),
    ],
    ids=["divergence", "ended lane", "deadlock", "two calls", "mask", "assert", "address", "zero", "stack"],
)
@pytest.mark.parametrize("mode", [{}, dict(shuffle=0)], ids=str)
def test_errors_while_it_runs(body, message, mode):
    code = f'extern "C" __global__ void f() {{ {body} }}'
    if mode:  # which thread comes first is open
        message = re.sub(r"\\\(\d+,0,0\\\)", r"\\(\\d+,0,0\\)", message).split(" wait")[0]
    with emulator.mode(**mode), pytest.raises(KernelError, match=message):
        launch(code)
    assert launch('extern "C" __global__ void f(int *x) { *x = 1; }', zeros(1, dtype=np.int32)) == 1  # it goes on


def test_printf(capsys):
    code = r"""
    extern "C" __global__ void f(float x) {
        printf("block %d", blockIdx.x);
        printf(": %.3f %s\n", x, "ok");
    }"""
    launch(code, np.float32(0.5), grid=(2,), block=(1,))
    assert capsys.readouterr().out == "block 0: 0.500 ok\nblock 1: 0.500 ok\n"
    with emulator.mode(sanitize=True):
        launch(code, np.float32(0.5), grid=(2,), block=(1,))
    assert capsys.readouterr().out == "block 0: 0.500 ok\nblock 1: 0.500 ok\n"


@pytest.mark.parametrize(("capture", "out"), [("capfd", "now\n"), ("capsys", "")])
def test_printf_while_debugging(request, capture, out):
    """It writes at once, and so not through Python."""
    captured = request.getfixturevalue(capture)
    with emulator.mode(debug=True):
        launch(r'extern "C" __global__ void f() { printf("now\n"); }', block=(1,))
    assert captured.readouterr().out == out


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
    """In the plain order it happens to be right: thread i - 1 has written before thread i reads."""
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
            turn, order = launch(
                code, zeros(1, dtype=np.int32), zeros(5, 2, 8, dtype=np.int32), grid=(5,), block=(8,)
            )
        assert turn == 80
        for block in order:  # one after the other, each through its barrier before it ends
            assert sorted(block[0]) == sorted(block[1]) == [*range(block.min(), block.min() + 8)]
        return order

    def threads(order):  # of block 0 to 4, by their numbers within the block
        return order[np.argsort(order[:, 0, 0] // 8)] % 8

    first, second = order(1), order(2)
    np.testing.assert_array_equal(order(1), first)
    assert (first[:, 0, 0] // 8 != second[:, 0, 0] // 8).any()  # blocks
    assert (threads(first) != threads(second)).any()
    assert (threads(first)[0] != threads(first)[1]).any()  # each block has its own
    assert (first[:, 0] != first[:, 1]).any()  # anew after the barrier
    plain = order(None)
    assert (order(0) != plain).any()  # 0 is a seed, too
    np.testing.assert_array_equal(plain[:, 0], np.arange(40).reshape(5, 8))
    np.testing.assert_array_equal(plain[:, 1], np.roll(plain[:, 0], 1, 1))  # the last to come simply goes on


# ------------------------------------------------------------------------------ sanitize


SANITIZE = r"""
extern "C" __global__ void global_read(const float *x, float *y) {
    y[threadIdx.x] = x[threadIdx.x + 1];
}
extern "C" __global__ void global_write(const float *x, float *y) {
    y[(int)threadIdx.x - 1] = x[threadIdx.x];
}
extern "C" __global__ void static_shared(const float *x, float *y) {
    __shared__ float s[7];
    float *from = s;
    y[threadIdx.x] = from[threadIdx.x];
}
extern "C" __global__ void dynamic_shared(const float *x, float *y) {
    extern __shared__ float s[];
    y[threadIdx.x] = s[threadIdx.x];
}
extern "C" __global__ void row_of_shared(const float *x, float *y) {
    __shared__ float s[4][4];
    y[threadIdx.x] = s[0][threadIdx.x];
}
extern "C" __global__ void local_array(const float *x, float *y) {
    float a[4] = {x[0], x[1], x[2], x[3]};
    y[threadIdx.x] = a[threadIdx.x];
}
extern "C" __global__ void overflow(const float *x, float *y) {
    y[threadIdx.x] = (1 << 30) * (int)(threadIdx.x + 1);
}
extern "C" __global__ void shift(const float *x, float *y) {
    y[threadIdx.x] = 1 << (threadIdx.x + 27);
}
extern "C" __global__ void misaligned(const float *x, float *y) {
    ((float4 *)(y + 1))->x = x[threadIdx.x];
}
__device__ void inner(float *y) {
    __syncthreads();
    y[threadIdx.x + 1] = 0;
}
extern "C" __global__ void called(const float *x, float *y) {
    inner(y);
}
extern "C" __global__ void fine(const float *x, float *y) {
    y[threadIdx.x] = 2 * x[threadIdx.x];
}
"""


def line_of(text):
    return 1 + next(i for i, line in enumerate(SANITIZE.split("\n")) if text in line)


@pytest.mark.parametrize(
    ("name", "line", "thread", "message"),
    [
        ("global_read", "x[threadIdx.x + 1];", 7, r"reads 4 bytes, 0 bytes behind the end of argument 0 \(const float"),
        ("global_write", "threadIdx.x - 1", 0, r"writes 4 bytes, 4 bytes before the beginning of argument 1 \(float"),
        ("static_shared", "from[threadIdx.x]", 7, "reads 4 bytes, 0 bytes behind the end of shared memory"),
        ("dynamic_shared", "= s[threadIdx.x]", 7, "reads 4 bytes, 0 bytes behind the end of shared memory"),
        ("row_of_shared", "s[0][threadIdx.x]", 4, "index 4 out of bounds"),
        ("local_array", "= a[threadIdx.x]", 4, "index 4 out of bounds"),
        ("overflow", "(1 << 30)", 1, r"signed integer overflow: (2 \* 1073741824|1073741824 \* 2)"),
        ("shift", "+ 27", 5, "shift exponent 32 is too large"),
        ("misaligned", "float4", 0, "misaligned address .* requires 16 byte alignment"),
        ("called", "y[threadIdx.x + 1] = 0", 7, r"writes .*\n    in inner at kernel.cu:\d+\n    in called at"),
    ],
)
def test_sanitize(name, line, thread, message):
    """It names the line of the source, the thread and what was touched."""
    x, y = np.arange(8, dtype=np.float32), zeros(8)
    with emulator.mode(sanitize=True), pytest.raises(KernelError) as caught:
        launch(SANITIZE, x, y, block=(8,), shared_mem=28, name=name)
    where = rf"{name}: kernel\.cu:{line_of(line)}(:\d+)? in thread \({thread},0,0\) of block \(0,0,0\): .*"
    assert re.match(where + f"({message})", str(caught.value)), str(caught.value)


def test_sanitized_views_and_empty_arrays():
    kernel = xp.RawModule(code=SANITIZE).get_function("fine")
    whole = xp.arange(32, dtype=np.float32)
    with emulator.mode(sanitize=True):
        kernel((1,), (8,), (whole[3:11], whole[20:28]))  # each with nothing around it
        assert whole[18:30].tolist() == [18, 19, *range(6, 22, 2), 28, 29]
        kernel((1,), (4,), (whole[0:8], whole[4:8]))  # these overlap, and stay so
        assert whole[:8].tolist() == [0, 1, 2, 3, 0, 2, 4, 6]
        with pytest.raises(KernelError, match="behind the end of argument 1"):
            kernel((1,), (8,), (whole[3:11], whole[20:27]))
        with pytest.raises(KernelError, match="behind the end of argument 0"):
            kernel((1,), (1,), (whole[:0], whole))


def test_sanitized_errors_are_those_of_other_launches():
    with emulator.mode(sanitize=True, shuffle=1), pytest.raises(KernelError, match=f"f: kernel.cu:1 in {AT}assertion"):
        launch('extern "C" __global__ void f() { assert(false); }')


def test_modes():
    with pytest.raises(ValueError, match="either sanitize or debug"), emulator.mode(sanitize=True, debug=True):
        pass
    for seed in (-1, "1", 0.5):
        with pytest.raises(ValueError, match="shuffle is a seed"), emulator.mode(shuffle=seed):
            pass
    with pytest.raises(TypeError), emulator.mode(verbose=True):
        pass
    with emulator.mode(shuffle=3), emulator.mode(sanitize=True):
        assert emulator.modes.current() == emulator.modes.Mode(sanitize=True, shuffle=3)
    assert emulator.modes.current() == emulator.modes.Mode()


# ------------------------------------------------------------------------------ compiler and cache


PROGRAM = """
import sys
import numpy as np
from tinynet.emulator import compiler, xp
compiler.FLAGS += sys.argv[1:]
code = '''
extern "C" __global__ void f(int *x) {
    __shared__ int s[64];
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = s[63 - threadIdx.x] + __shfl_xor_sync(0xffffffff, 0, 1);
}'''
x = xp.arange(64, dtype=np.int32)
xp.RawKernel(code, "f")((1,), (64,), (x,))
print(x.tolist() == list(range(63, -1, -1)))
"""


def python(*flags, cache, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *flags],
        env=os.environ | {"XDG_CACHE_HOME": str(cache)} | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def assert_right(process):
    out, error = process.communicate()
    assert (out, error, process.returncode) == ("True\n", "", 0)


def libraries(cache):
    return sorted((cache / "tinynet" / "emulator").glob("*/library.so"))


def test_two_processes_compile_at_once(tmp_path):
    both = [python(cache=tmp_path) for _ in range(2)]
    for process in both:
        assert_right(process)
    assert len(libraries(tmp_path)) == 2  # the runtime and the kernel
    assert all(re.fullmatch("[0-9a-f]{32}", path.name) for path in (tmp_path / "tinynet" / "emulator").iterdir())


def test_damaged_files_are_made_anew(tmp_path):
    assert_right(python(cache=tmp_path))
    for path in libraries(tmp_path):
        path.write_bytes(path.read_bytes()[:5000])
    assert_right(python(cache=tmp_path))
    assert all(path.stat().st_size > 5000 for path in libraries(tmp_path))


def test_the_c_librarys_way_to_switch_stacks(tmp_path):
    """What processors other than x86-64 and 64-bit ARM use."""
    assert_right(python("-DEMULATOR_UCONTEXT", cache=tmp_path))


def test_nothing_is_compiled_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []
    make = compiler.make
    monkeypatch.setattr(compiler, "make", lambda *args: made.append(args) or make(*args))
    code = 'extern "C" __global__ void f(int *x) { *x = N; }'

    def compiles(**changes):
        before = len(made)
        launch(changes.get("code", code), zeros(1, dtype=np.int32), options=changes.get("options", ("-DN=1",)))
        return len(made) - before

    assert compiles() == 1
    assert compiles() == 0
    assert compiles(options=("-DN=2",)) == 1
    assert compiles(code=code + "\n") == 1
    (tmp_path / "h.cuh").write_text("#define N 3\n")
    included = dict(code='#include "h.cuh"\n' + code, options=(f"-I{tmp_path}",))
    assert [compiles(**included), compiles(**included)] == [1, 0]
    (tmp_path / "h.cuh").write_text("#define N 4\n")
    assert compiles(**included) == 1
    with emulator.mode(debug=True):
        assert [compiles(), compiles()] == [1, 0]
    monkeypatch.setattr(compiler, "compiler", lambda: (["g++"], "another version"))
    assert compiles() == 1


@pytest.fixture
def fresh_search():
    compiler.compiler.cache_clear()
    yield
    compiler.compiler.cache_clear()


def test_no_compiler(monkeypatch, fresh_search):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(RuntimeError, match=r"none of \$CXX, g\+\+, clang\+\+, python -m ziglang c\+\+"):
        launch('extern "C" __global__ void f() { /* never compiled before */ }')


def test_which_compiler(monkeypatch, fresh_search, tmp_path):
    for name in ("g++", "clang++", "mine"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} version 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    chosen = compiler.compiler.__wrapped__
    assert chosen() == (["g++"], "g++ version 1\n")
    monkeypatch.setenv("CXX", "mine -fast")
    assert chosen() == (["mine", "-fast"], "mine version 1\n")
    monkeypatch.setenv("CXX", "not-there")
    assert chosen() == (["g++"], "g++ version 1\n")
    (tmp_path / "g++").write_text("#!/bin/sh\nexit 1\n")
    assert chosen() == (["clang++"], "clang++ version 1\n")


def test_a_compiler_without_sanitizers(monkeypatch):
    def build(*_):
        raise compiler.CompileError("in some file:\nfatal error: no sanitizer/asan_interface.h")

    monkeypatch.setattr(compiler, "build", build)
    with pytest.raises(RuntimeError, match=r"needs .* address sanitizer, g\+\+ or clang\+\+; .* says: fatal error: no"):
        emulator.sanitizer.build("", "")


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_a_debugger_finds_kernel_lines_and_variables(tmp_path):
    code = 'extern "C" __global__ void f(int *x) {\n    int mine = threadIdx.x * 10;\n    x[threadIdx.x] = mine;\n}\n'
    (tmp_path / "kernel.cu").write_text(code)
    (tmp_path / "run.py").write_text(
        f"import numpy as np\nfrom tinynet import emulator\nfrom tinynet.emulator import xp\n"
        f"with emulator.mode(debug=True):\n"
        f"    xp.RawKernel({code!r}, 'f')((1,), (4,), (xp.zeros(4, np.int32),))\n"
    )
    commands = ["set breakpoint pending on", "break kernel.cu:3 if mine == 20", "run", "print threadIdx.x"]
    commands += ["print mine"]
    run = subprocess.run(
        ["gdb", "-nx", "-batch", *(f"-ex={c}" for c in commands), "--args", sys.executable, tmp_path / "run.py"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, capture_output=True, text=True,
    )  # fmt: skip
    if "ptrace" in run.stderr:
        pytest.skip("gdb may not trace processes here")
    assert "x[threadIdx.x] = mine;" in run.stdout, run.stdout + run.stderr
    assert re.findall(r"^\$\d = (\d+)$", run.stdout, re.M) == ["2", "20"], run.stdout
