"""CUDA's functions and types: atomics, vectors, integers, maths, tensor cores."""

import numpy as np
import pytest

from emulator_checks import ALL_MODES, launch, zeros
from tinynet import emulator

TYPES = {"int": "int32", "unsigned": "uint32", "unsigned long long": "uint64", "float": "float32", "double": "float64"}


@pytest.mark.parametrize("type", TYPES)
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
    total, before = launch(code, *(zeros(*s, dtype=TYPES[type]) for s in ((1,), (500, 64))), grid=(500,), block=(64,))
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
        float mine = i * 7 % 32 / 2.f;  // a maximum of floats, by compare and swap
        int *bits = (int *)largest, old = *bits;
        while (__int_as_float(old) < mine) old = atomicCAS(bits, old, __float_as_int(mine));
    }"""
    x, u, largest = launch(code, np.array([0, 0, 0, 0, -1, 0, 0], np.int32), zeros(2, dtype="uint32"), zeros(1))
    assert x.tolist() == [31, -5, -32, 9, 0, -1, 0]
    assert u.tolist() == [32 % 6, (-32) % 5]
    assert largest == 15.5


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
    _, out, bits = launch(code, x, zeros(5, 32, dtype="uint64"), zeros(2, 32, dtype="int32"))
    low, signed = (x & 0xFFFFFFFF).tolist(), x.astype(np.uint32).astype(np.int32).tolist()
    for i, (a, b) in enumerate(zip(x.tolist(), x.tolist()[::-1], strict=True)):
        shifted, left = a >> i & 0xFFFFFFFF, a << i & 0xFFFFFFFF
        assert out[:, i].tolist() == [
            a * b >> 64,
            low[i] * low[31 - i] >> 32,
            (signed[i] * signed[31 - i] >> 32) % 2**64,
            ((low[31 - i] << 32 | low[i]) << (i + 1 & 31) & (2**64 - 1)) >> 32,
            int(f"{low[i]:032b}"[::-1], 2),
        ]
        assert bits[0, i] == low[i].bit_count() + 100 * a.bit_count()
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
    _, y, z = launch(code, zeros(1) + x, zeros(27), zeros(1, dtype="float64"), block=(1,))
    x = float(x)
    e = np.exp(x)
    expected = [e, e, e, np.log(x), np.log1p(x), x**0.5, x**-0.5, x**-0.75, np.tanh(x), x, 2, x, 2, x, 0.983790459]
    expected += [np.sin(x), np.cos(x), x * x + x, 1 / x, 1, 2, 2 * x, x * x, 2, 1, -np.inf, 3]
    np.testing.assert_allclose(y, expected, rtol=3e-7)
    np.testing.assert_allclose(z, np.exp(1) + 0.5 + 2.5 + 2**0.5, rtol=1e-15)


def test_rounding_to_tf32():
    """To 10 mantissa bits, ties away from zero."""
    code = r"""
    extern "C" __global__ void f(const float *x, float *y) {
        y[threadIdx.x] = __uint_as_float(emulated_to_tf32(x[threadIdx.x]));
    }"""
    step = 2.0**-10  # between numbers in [1, 2)
    large, rounded = np.float32(3e38), (np.float32(3e38).view("uint32") + 0x1000 & 0xFFFFE000).view("float32")
    x = np.array([1, 1 + step, 1 + 0.49 * step, 1 + 0.5 * step, -1 - 0.5 * step, 1 + 0.51 * step, large, np.inf])
    _, y = launch(code, x.astype(np.float32), zeros(8), block=(8,))
    assert y.tolist() == [1, 1 + step, 1, 1 + step, -1 - step, 1 + step, rounded, np.inf]


@ALL_MODES
def test_tensor_cores(rng, mode):
    """d += a @ b for a (16, 8), b (8, 8), d (16, 8), distributed over the lanes as PTX describes it."""
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
