"""Blocks, threads, shared memory, barriers and warps, as CUDA has them."""

import numpy as np
import pytest

from emulator_checks import ALL_MODES, SHUFFLED, launch, zeros
from tinynet import emulator
from tinynet.emulator import xp

KERNELS = {  # name: (source, array, grid and block, what the array becomes)
    "every thread of a grid knows its indices": (
        r"""extern "C" __global__ void f(int *out) {
            int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
            int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
            int threads = blockDim.x * blockDim.y * blockDim.z;
            dim3 size = blockDim;
            atomicAdd(&out[block * threads + thread], size.x * 100 + gridDim.z * 10 + threadIdx.z);
        }""",
        zeros(42, 30, dtype="int32"), dict(grid=(7, 3, 2), block=(5, 2, 3)), 520 + np.arange(42 * 30) % 30 // 10,
    ),
    "each instance of a template has its own shared memory": (
        r"""
        template <int N> __device__ float *mine() {
            __shared__ float x[N];
            return x;
        }
        extern "C" __global__ void f(int *out) {
            float *a = mine<1>(), *b = mine<2>(), *c = mine<1>();
            __shared__ float d, e;
            out[threadIdx.x] = (a != b) + 2 * (a == c) + 4 * (&d != &e);
        }""",
        zeros(2, dtype="int32"), dict(block=(2,)), [7, 7],
    ),
    "constants and device functions": (
        r"""
        __constant__ float powers[3] = {1, 10, 100};
        __device__ int twice(int x) { return 2 * x; }
        __device__ __forceinline__ int thrice(int x) { return 3 * x; }
        extern "C" __global__ void f(float *out) { out[threadIdx.x] = twice(thrice(powers[threadIdx.x])); }""",
        zeros(3), dict(block=(3,)), [6, 60, 600],
    ),
    "a barrier does not wait for threads that have ended": (
        r"""extern "C" __global__ void f(float *out) {
            if (threadIdx.x >= 20) return;
            __shared__ float x[20];
            x[threadIdx.x] = threadIdx.x;
            __syncthreads();
            out[threadIdx.x] = x[19 - threadIdx.x];
        }""",
        zeros(20), {}, np.arange(20)[::-1],
    ),
    "votes of a block": (
        r"""extern "C" __global__ void f(int *out) {
            int i = threadIdx.x;
            int count = __syncthreads_count(i % 3 == 0), any = __syncthreads_or(i == 99);
            int all = __syncthreads_and(i < 100), none = __syncthreads_or(i < 0), most = __syncthreads_and(i < 99);
            out[i] = count * 10000 + any * 1000 + all * 100 + none * 10 + most;
        }""",
        zeros(100, dtype="int32"), dict(block=(100,)), [341100] * 100,
    ),
}  # fmt: skip


@pytest.mark.parametrize("code, array, sizes, expected", KERNELS.values(), ids=KERNELS)
def test_kernels(code, array, sizes, expected):
    np.testing.assert_array_equal(launch(code, array, **sizes).ravel(), expected)


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
    count, out = launch(code, zeros(1, dtype="int32"), zeros(5000, 64), grid=(5000,), block=(64,))
    assert count == 5000 * 64
    np.testing.assert_array_equal(out, np.broadcast_to(np.arange(5000)[:, None], out.shape))


GEMM = r"""
template <class A, class B> __device__ void multiply(A as, B bs, const float *a, const float *b, float *c, int n) {
    int row = blockIdx.y * 8 + threadIdx.y, column = blockIdx.x * 8 + threadIdx.x;
    float sum = 0;
    for (int k = 0; k < n; k += 8) {
        as[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];
        bs[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + column];
        __syncthreads();
        #pragma unroll
        for (int i = 0; i < 8; i++) sum += as[threadIdx.y][i] * bs[i][threadIdx.x];
        __syncthreads();
    }
    c[row * n + column] = sum;
}
template <int TILE> __device__ void with_static(const float *a, const float *b, float *c, int n) {
    __shared__ float as[TILE][TILE + 1], bs[TILE][TILE];  // two in one declaration
    multiply(as, bs, a, b, c, n);
}
extern "C" __global__ void static_tiles(const float *a, const float *b, float *c, int n) { with_static<8>(a, b, c, n); }

extern "C" __global__ void dynamic_tiles(const float *a, const float *b, float *c, int n) {
    const int TILE = 8;
    extern __shared__ __align__(16) float memory[][TILE];
    float(*as)[TILE] = memory, (*bs)[TILE] = memory + TILE;
    multiply(as, bs, a, b, c, n);
}
"""


@pytest.mark.parametrize("name, bytes", [("static_tiles", 0), ("dynamic_tiles", 2 * 8 * 8 * 4)])
@ALL_MODES
def test_tiled_product(rng, name, bytes, mode):
    a, b = rng.standard_normal((2, 32, 32)).astype(np.float32)
    sizes = dict(grid=(4, 4), block=(8, 8), shared_mem=bytes)
    with emulator.mode(**mode):
        *_, c = launch(GEMM, a, b, zeros(32, 32), np.int32(32), **sizes, name=name)
    np.testing.assert_allclose(c, a @ b, rtol=1e-5, atol=1e-5)


def test_uninitialized_memory_shows():
    code = r"""
    extern "C" __global__ void f(float *out, int *number) {
        __shared__ float x[4];
        __shared__ int i;
        extern __shared__ float y[];
        out[2 * blockIdx.x] = x[3], out[2 * blockIdx.x + 1] = y[0], *number = i;
        x[3] = y[0] = i = 5;  // which the next block must not see
    }"""
    out, number = launch(code, zeros(2, 2), zeros(1, dtype="int32"), grid=(2,), block=(1,), shared_mem=4)
    assert np.isnan(out).all()
    assert number == -1
    assert np.isnan(xp.empty((500, 500), np.float32).get()).all()


SHUFFLES = {  # name: the lane that `lane` reads from, in a segment that begins at `first` and is `width` wide
    "__shfl_sync": lambda lane, n, first, width: first + n % width,
    "__shfl_up_sync": lambda lane, n, first, width: lane if lane - n < first else lane - n,
    "__shfl_down_sync": lambda lane, n, first, width: lane if lane + n >= first + width else lane + n,
    "__shfl_xor_sync": lambda lane, n, first, width: lane if lane ^ n >= first + width else lane ^ n,
}
TYPES = {"int": "int32", "float": "float32", "double": "float64", "unsigned long long": "uint64"}


@pytest.mark.parametrize("name", SHUFFLES)
@pytest.mark.parametrize("type", TYPES)
def test_shuffles(name, type, rng):
    code = f"""
    extern "C" __global__ void f(const {type} *x, {type} *out, int n) {{
        out[threadIdx.x] = {name}(0xffffffff, x[threadIdx.x], n);
        out[64 + threadIdx.x] = {name}(0xffffffff, x[threadIdx.x], n, 8);
    }}"""
    x = (rng.standard_normal(64) * 1000).astype(np.int64).astype(TYPES[type])
    for n in (1, 3, 5, 7, 16) if type == "float" else (3,):
        _, out = launch(code, x, zeros(2, 64, dtype=x.dtype), np.int32(n), block=(64,))
        for row, width in ((0, 32), (1, 8)):
            source = [SHUFFLES[name](lane, n, lane // width * width, width) for lane in range(32)]
            np.testing.assert_array_equal(out[row], x[[*source, *(32 + lane for lane in source)]])


@SHUFFLED
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


@SHUFFLED
def test_a_diverged_warp(mode):
    code = r"""
    extern "C" __global__ void f(int *out) {
        int i = threadIdx.x, x = i;
        if (i < 8)  // these eight shuffle more often than the others
            for (int d = 1; d < 8; d *= 2) x += __shfl_xor_sync(0x000000ff, x, d);
        else
            x = __shfl_sync(0xffffff00, x, 31);
        __syncwarp();
        out[i] = x + 1000 * __popc(__ballot_sync(0xffffffff, i % 2));
    }"""
    with emulator.mode(**mode):
        out = launch(code, zeros(32, dtype="int32"))
    assert out.tolist() == [16028] * 8 + [16031] * 24


def test_votes_of_a_warp_and_of_an_incomplete_warp():
    code = r"""
    extern "C" __global__ void f(unsigned *ballot, int *votes, float *beyond) {
        int i = threadIdx.x;
        ballot[i] = __ballot_sync(0xffffffff, i & 1);
        votes[i] = __any_sync(0xffffffff, i == 33) + 2 * __all_sync(0xffffffff, i >= 32);
        beyond[i] = __shfl_down_sync(0xffffffff, 1.f, 1);
    }"""
    ballot, votes, beyond = launch(code, *(zeros(36, dtype=t) for t in ("uint32", "int32", "float32")), block=(36,))
    assert ballot.tolist() == [0xAAAAAAAA] * 32 + [0b1010] * 4
    assert votes.tolist() == [0] * 32 + [3] * 4
    assert np.isnan(beyond[35])  # there is no lane 4 in the last warp
    assert (beyond[:35] == 1).all()
