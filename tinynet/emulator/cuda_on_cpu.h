// CUDA's keywords and functions in plain C++. Every kernel is compiled after this header. What no macro can express
// has been rewritten by source.py before. What threads do together is in runtime.cpp.

#pragma once

#include "runtime.h"

#include <math.h>
#include <stddef.h>

#include <type_traits>
#include <utility>

#define TINYNET_EMULATOR 1
#define __CUDA_ARCH__ 900  // as Device.compute_capability says

// source.py turns #pragma unroll, which GCC spells differently, into EMULATOR_UNROLL.
#define EMULATOR_PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define EMULATOR_UNROLL(count) EMULATOR_PRAGMA(unroll count)
#else
#define EMULATOR_UNROLL(count) EMULATOR_PRAGMA(GCC unroll count)
#endif

// ------------------------------------------------------------------------------ functions and variables

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
#define __grid_constant__

// ------------------------------------------------------------------------------ vectors

// A float4 is loaded or stored as 16 bytes at once, so its address must be a multiple of 16.
#define EMULATOR_VECTORS(T, name, align2, align4)                                                                     \
    struct name##1 { T x; };                                                                                          \
    struct alignas(align2) name##2 { T x, y; };                                                                       \
    struct name##3 { T x, y, z; };                                                                                    \
    struct alignas(align4) name##4 { T x, y, z, w; };                                                                 \
    inline name##1 make_##name##1(T x) { return {x}; }                                                                \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                                        \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                                                \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

EMULATOR_VECTORS(signed char, char, 2, 4)
EMULATOR_VECTORS(unsigned char, uchar, 2, 4)
EMULATOR_VECTORS(short, short, 4, 8)
EMULATOR_VECTORS(unsigned short, ushort, 4, 8)
EMULATOR_VECTORS(int, int, 8, 16)
EMULATOR_VECTORS(unsigned, uint, 8, 16)
EMULATOR_VECTORS(long long, longlong, 16, 16)
EMULATOR_VECTORS(unsigned long long, ulonglong, 16, 16)
EMULATOR_VECTORS(float, float, 8, 16)
EMULATOR_VECTORS(double, double, 16, 16)

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
    constexpr dim3(uint3 i) : x(i.x), y(i.y), z(i.z) {}
};

// Variables of the runtime, which sets them whenever it switches to another thread.
extern __thread const uint3 threadIdx, blockIdx;
extern __thread const dim3 blockDim, gridDim;
constexpr int warpSize = 32;

// ------------------------------------------------------------------------------ shared memory

namespace emulator {

// source.py turns
//
//     __shared__ float tile[16][17];      into      float (&tile)[16][17] = emulator::shared("tile", [] {});
//     extern __shared__ float rows[];     into      float *rows = emulator::dynamic_shared();
//
// C++ converts the right-hand side to the type on the left. Each lambda [] {} has a unique type, Unique, also in each
// instance of a template. So each variable gets memory of its own, which is the same for all threads of the block.
template <class Unique> struct Shared {
    const char *name;
    Line line;
    template <class T> operator T &() const {
        using namespace std;
        static const char key = 0;
        unsigned long item = sizeof(remove_all_extents_t<T>);
        Shape shape = {name, item, {extent_v<T, 0>, extent_v<T, 1>, extent_v<T, 2>, extent_v<T, 3>}};
        return *static_cast<T *>(shared_memory(&key, sizeof(T), shape, line));
    }
};
template <class Unique> Shared<Unique> shared(const char *name, Unique, Line line = Line::here()) {
    return {name, line};
}

struct dynamic_shared {
    template <class T> operator T *() const { return static_cast<T *>(dynamic_shared_memory()); }
};

}  // namespace emulator

// ------------------------------------------------------------------------------ barriers and warps

#define EMULATOR_LINE emulator::Line line = emulator::Line::here()  // a parameter: the line of the call

inline void __syncthreads(EMULATOR_LINE) { emulator::barrier({"__syncthreads", line, 0, nullptr, nullptr}); }
inline void __syncwarp(unsigned mask = 0xffffffff, EMULATOR_LINE) {
    emulator::warp_barrier({"__syncwarp", line, mask, nullptr, nullptr});
}
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() {}  // only one thread of a block runs at a time
inline void __threadfence_system() { __threadfence(); }

namespace emulator {

// What each thread passes to a vote, and what it gets back.
struct Vote {
    bool yes;
    unsigned ballot;  // in a warp: the bits of the lanes that vote yes
    int count, voters;
};
inline void count_votes(void **votes, int threads) {
    Vote sum = {};
    for (int i = 0; i < threads; i++) {
        if (!votes[i]) continue;
        bool yes = static_cast<Vote *>(votes[i])->yes;
        sum.ballot |= unsigned(yes) << i % 32;
        sum.count += yes;
        sum.voters++;
    }
    for (int i = 0; i < threads; i++)
        if (votes[i]) *static_cast<Vote *>(votes[i]) = sum;
}
inline Vote vote(const char *what, bool yes, Line line) {
    Vote vote = {yes, 0, 0, 0};
    barrier({what, line, 0, &vote, count_votes});
    return vote;
}
inline Vote warp_vote(const char *what, unsigned mask, bool yes, Line line) {
    Vote vote = {yes, 0, 0, 0};
    warp_barrier({what, line, mask, &vote, count_votes});
    return vote;
}

// What each lane passes to a shuffle, and what it gets back: the value of lane `from`.
struct Exchange {
    unsigned long long bits;
    int from;
};
inline void exchange(void **lanes, int count) {
    unsigned long long bits[32];
    for (int i = 0; i < count; i++) bits[i] = lanes[i] ? static_cast<Exchange *>(lanes[i])->bits : ~0ull;
    for (int i = 0; i < count; i++) {
        if (!lanes[i]) continue;
        Exchange *mine = static_cast<Exchange *>(lanes[i]);
        mine->bits = bits[mine->from];  // from a lane that does not take part: all bits 1, which is a NaN in a float
    }
}
template <class T> T shuffle(const char *what, unsigned mask, T value, int from, Line line) {
    static_assert(sizeof(T) <= sizeof(Exchange::bits), "a shuffle moves 4 or 8 bytes");
    Exchange mine = {0, from};
    __builtin_memcpy(&mine.bits, &value, sizeof value);
    warp_barrier({what, line, mask, &mine, exchange});
    __builtin_memcpy(&value, &mine.bits, sizeof value);
    return value;
}

}  // namespace emulator

inline int __syncthreads_count(int yes, EMULATOR_LINE) {
    return emulator::vote("__syncthreads_count", yes, line).count;
}
inline int __syncthreads_or(int yes, EMULATOR_LINE) { return emulator::vote("__syncthreads_or", yes, line).count > 0; }
inline int __syncthreads_and(int yes, EMULATOR_LINE) {
    emulator::Vote all = emulator::vote("__syncthreads_and", yes, line);
    return all.count == all.voters;
}
inline unsigned __ballot_sync(unsigned mask, int yes, EMULATOR_LINE) {
    return emulator::warp_vote("__ballot_sync", mask, yes, line).ballot;
}
inline int __any_sync(unsigned mask, int yes, EMULATOR_LINE) {
    return emulator::warp_vote("__any_sync", mask, yes, line).count > 0;
}
inline int __all_sync(unsigned mask, int yes, EMULATOR_LINE) {
    emulator::Vote all = emulator::warp_vote("__all_sync", mask, yes, line);
    return all.count == all.voters;
}

// The warp is divided into segments of `width` lanes. A lane that asks beyond its segment gets its own value.
template <class T> T __shfl_sync(unsigned mask, T value, int from, int width = 32, EMULATOR_LINE) {
    int first = emulator::lane() & -width;
    return emulator::shuffle("__shfl_sync", mask, value, first + (from & (width - 1)), line);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, EMULATOR_LINE) {
    int lane = emulator::lane(), from = lane - int(delta);
    return emulator::shuffle("__shfl_up_sync", mask, value, from < (lane & -width) ? lane : from, line);
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, EMULATOR_LINE) {
    int lane = emulator::lane(), from = lane + int(delta);
    return emulator::shuffle("__shfl_down_sync", mask, value, from > (lane | (width - 1)) ? lane : from, line);
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, EMULATOR_LINE) {
    int lane = emulator::lane(), from = lane ^ lane_mask;
    return emulator::shuffle("__shfl_xor_sync", mask, value, from > (lane | (width - 1)) ? lane : from, line);
}

// ------------------------------------------------------------------------------ atomics

namespace emulator {

template <class T> struct Same { using type = T; };  // a parameter from which T is not deduced
template <class T, class... Ts> constexpr bool one_of = (__is_same(T, Ts) || ...);
template <size_t bytes> struct Bits;
template <> struct Bits<2> { using type = unsigned short; };
template <> struct Bits<4> { using type = unsigned; };
template <> struct Bits<8> { using type = unsigned long long; };

// *address = change(*address), atomically. Returns the old value.
template <class T, class Change> __forceinline__ T atomically(T *address, Change change) {
    using Word = typename Bits<sizeof(T)>::type;
    Word before = __atomic_load_n(reinterpret_cast<Word *>(address), __ATOMIC_RELAXED), after;
    T value;
    do {
        __builtin_memcpy(&value, &before, sizeof value);
        T changed = change(value);
        __builtin_memcpy(&after, &changed, sizeof changed);
    } while (!__atomic_compare_exchange_n(reinterpret_cast<Word *>(address), &before, after, false, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return value;
}

}  // namespace emulator

// CUDA has each of these only for some types.
#define EMULATOR_ATOMIC(name, expression, ...)                                                                        \
    template <class T> __forceinline__ T name(T *address, typename emulator::Same<T>::type value) {                   \
        static_assert(emulator::one_of<T, __VA_ARGS__>, "CUDA has no " #name " for this type");                       \
        return emulator::atomically(address, [value](T old) -> T { return expression; });                             \
    }

EMULATOR_ATOMIC(atomicAdd, old + value, int, unsigned, unsigned long long, float, double)
EMULATOR_ATOMIC(atomicSub, old - value, int, unsigned)
EMULATOR_ATOMIC(atomicMax, old > value ? old : value, int, unsigned, long long, unsigned long long)
EMULATOR_ATOMIC(atomicMin, old < value ? old : value, int, unsigned, long long, unsigned long long)
EMULATOR_ATOMIC(atomicExch, value, int, unsigned, unsigned long long, float)
EMULATOR_ATOMIC(atomicAnd, old & value, int, unsigned, unsigned long long)
EMULATOR_ATOMIC(atomicOr, old | value, int, unsigned, unsigned long long)
EMULATOR_ATOMIC(atomicXor, old ^ value, int, unsigned, unsigned long long)
EMULATOR_ATOMIC(atomicInc, old >= value ? 0 : old + 1, unsigned)
EMULATOR_ATOMIC(atomicDec, old == 0 || old > value ? value : old - 1, unsigned)
template <class T>
__forceinline__ T atomicCAS(T *address, typename emulator::Same<T>::type compare,
                            typename emulator::Same<T>::type value) {
    static_assert(emulator::one_of<T, int, unsigned, unsigned long long, unsigned short>,
                  "CUDA has no atomicCAS for this type");
    return emulator::atomically(address, [=](T old) -> T { return old == compare ? value : old; });
}

// ------------------------------------------------------------------------------ loads, bits, integers

template <class T> __forceinline__ T __ldg(const T *address) { return *address; }   // through the read-only cache
template <class T> __forceinline__ T __ldca(const T *address) { return *address; }  // these differ in where they cache
template <class T> __forceinline__ T __ldcg(const T *address) { return *address; }
template <class T> __forceinline__ T __ldcs(const T *address) { return *address; }
template <class T> __forceinline__ void __stcg(T *address, T value) { *address = value; }
template <class T> __forceinline__ void __stcs(T *address, T value) { *address = value; }

namespace emulator {
template <class To, class From> To bits_as(From from) {
    static_assert(sizeof(To) == sizeof(From), "sizes differ");
    To to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}
}  // namespace emulator
inline int __float_as_int(float x) { return emulator::bits_as<int>(x); }
inline unsigned __float_as_uint(float x) { return emulator::bits_as<unsigned>(x); }
inline float __int_as_float(int x) { return emulator::bits_as<float>(x); }
inline float __uint_as_float(unsigned x) { return emulator::bits_as<float>(x); }
inline long long __double_as_longlong(double x) { return emulator::bits_as<long long>(x); }
inline double __longlong_as_double(long long x) { return emulator::bits_as<double>(x); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
    unsigned y = 0;
    for (int i = 0; i < 32; i++) y |= (x >> i & 1) << (31 - i);
    return y;
}
// 32 bits of (high, low), shifted.
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    return ((unsigned long long)high << 32 | low) << (shift & 31) >> 32;
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return ((unsigned long long)high << 32 | low) >> (shift & 31);
}

// The high half of a product.
inline int __mulhi(int a, int b) { return (long long)a * b >> 32; }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }
__extension__ inline long long __mul64hi(long long a, long long b) { return (__int128)a * b >> 64; }
__extension__ inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned __int128)a * b >> 64;
}
inline int __mul24(int a, int b) { return a * b; }

// ------------------------------------------------------------------------------ maths

// math.h has most of CUDA's names: sinf(float), sin(double) and, in C++, sin(float). CUDA adds these.
#define EMULATOR_MIN_MAX(R, A, B)                                                                                     \
    inline R max(A first, B second) { R a = first, b = second; return a > b ? a : b; }                                \
    inline R min(A first, B second) { R a = first, b = second; return a < b ? a : b; }
EMULATOR_MIN_MAX(int, int, int)
EMULATOR_MIN_MAX(unsigned, unsigned, unsigned)
EMULATOR_MIN_MAX(unsigned, int, unsigned)
EMULATOR_MIN_MAX(unsigned, unsigned, int)
EMULATOR_MIN_MAX(long, long, long)
EMULATOR_MIN_MAX(unsigned long, unsigned long, unsigned long)
EMULATOR_MIN_MAX(long long, long long, long long)
EMULATOR_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
inline float max(float a, float b) { return fmaxf(a, b); }  // of a number and a NaN, the number
inline float min(float a, float b) { return fminf(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(float a, double b) { return fmax(a, b); }
inline double min(float a, double b) { return fmin(a, b); }
inline double max(double a, float b) { return fmax(a, b); }
inline double min(double a, float b) { return fmin(a, b); }

inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline float rcbrtf(float x) { return 1 / cbrtf(x); }
inline double rcbrt(double x) { return 1 / cbrt(x); }
#ifndef __USE_GNU  // glibc has these two
inline float exp10f(float x) { return powf(10, x); }
inline double exp10(double x) { return pow(10, x); }
inline void sincosf(float x, float *s, float *c) { *s = sinf(x), *c = cosf(x); }
inline void sincos(double x, double *s, double *c) { *s = sin(x), *c = cos(x); }
#endif
inline float fdividef(float a, float b) { return a / b; }
inline float sinpif(float x) { return sinf(float(M_PI) * x); }
inline float cospif(float x) { return cosf(float(M_PI) * x); }
inline float __saturatef(float x) { return x > 0 ? fminf(x, 1) : 0; }
inline int __float2int_rn(float x) { return int(rintf(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline int __float2int_rd(float x) { return int(floorf(x)); }
inline int __float2int_ru(float x) { return int(ceilf(x)); }
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }

// Fast and inaccurate on a GPU, as accurate as the others here. (Macros, since glibc declares some of the names.)
#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __powf(x, y) powf(x, y)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __tanf(x) tanf(x)
#define __sincosf(x, s, c) sincosf(x, s, c)
#define __fdividef(a, b) fdividef(a, b)
#define __frcp_rn(x) (1 / float(x))
#define __fsqrt_rn(x) sqrtf(x)
#define __frsqrt_rn(x) rsqrtf(x)
#define __fdiv_rn(a, b) (float(a) / float(b))

// Sums and products that must not be fused into a multiply-add. (The compiler cannot fuse through a volatile.)
inline float __fadd_rn(float a, float b) { volatile float sum = a + b; return sum; }
inline float __fsub_rn(float a, float b) { volatile float difference = a - b; return difference; }
inline float __fmul_rn(float a, float b) { volatile float product = a * b; return product; }
inline double __dadd_rn(double a, double b) { volatile double sum = a + b; return sum; }
inline double __dmul_rn(double a, double b) { volatile double product = a * b; return product; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

// ------------------------------------------------------------------------------ tensor cores

// cvt.rna.tf32.f32: rounds to the nearest number with 10 mantissa bits, ties away from zero.
inline unsigned emulated_to_tf32(float x) {
    unsigned bits = __float_as_uint(x);
    return isfinite(x) ? (bits + 0x1000) & 0xffffe000 : bits;
}

namespace emulator {

struct Mma {
    float *d;
    const unsigned *a, *b;
};

// A lane holds four of the 16 x 8 elements of a and of d, and two of the 8 x 8 of b (PTX, "Matrix Fragments for
// mma.m16n8k8"). With g = lane / 4 and t = lane % 4:
//
//     a[i] = A[g + i % 2 * 8][t + i / 2 * 4]    b[i] = B[t + i * 4][g]    d[i] = D[g + i / 2 * 8][t * 2 + i % 2]
inline void mma_m16n8k8_tf32(void **lanes, int) {
    float A[16][8], B[8][8];
    for (int lane = 0; lane < 32; lane++) {
        if (!lanes[lane]) fail(Line::here(), "mma needs 32 lanes, and the block's last warp has fewer");
        const Mma &mine = *static_cast<Mma *>(lanes[lane]);
        int g = lane / 4, t = lane % 4;
        // The hardware reads the upper 19 bits of a float and ignores the lower 13.
        for (int i = 0; i < 4; i++) A[g + i % 2 * 8][t + i / 2 * 4] = __uint_as_float(mine.a[i] & 0xffffe000);
        for (int i = 0; i < 2; i++) B[t + i * 4][g] = __uint_as_float(mine.b[i] & 0xffffe000);
    }
    for (int lane = 0; lane < 32; lane++) {
        const Mma &mine = *static_cast<Mma *>(lanes[lane]);
        int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++) {
            float sum = mine.d[i];
            for (int k = 0; k < 8; k++) sum += A[g + i / 2 * 8][k] * B[k][t * 2 + i % 2];
            mine.d[i] = sum;
        }
    }
}

}  // namespace emulator

// d += a @ b, computed by all lanes of a warp together: mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32.
inline void emulated_mma_m16n8k8_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], EMULATOR_LINE) {
    emulator::Mma mine = {d, a, b};
    emulator::warp_barrier({"mma", line, 0xffffffff, &mine, emulator::mma_m16n8k8_tf32});
}

// ------------------------------------------------------------------------------ printf, assert

#define printf(...) emulator::print(__VA_ARGS__)
#undef assert
#define assert(condition) \
    ((condition) ? void() : emulator::fail(emulator::Line::here(), "assertion `%s` failed", #condition))
#define __trap() emulator::fail(emulator::Line::here(), "__trap()")

// ------------------------------------------------------------------------------ how Python calls a kernel

// source.py writes EMULATOR_KERNEL(name) after each `extern "C" __global__ void name(...) { ... }`. The macro describes
// the parameters, and unpacks the arguments from the bytes into which Python packed them.

namespace emulator {

template <class T> constexpr char kind_of() {  // NumPy's dtype.kind; '?' if any type fits
    if constexpr (one_of<T, float, double>) return 'f';
    else if constexpr (one_of<T, bool>) return 'b';
    else if constexpr (one_of<T, signed char, short, int, long, long long>) return 'i';
    else if constexpr (one_of<T, char, unsigned char, unsigned short, unsigned, unsigned long, unsigned long long>)
        return 'u';
    else return '?';
}

struct Parameter {
    size_t offset, size;
    char is_pointer, kind;  // kind and item_size are those of the pointed-to type, if it is a pointer
    size_t item_size;
};
struct Description {
    int count, max_threads;
    size_t bytes;
    const Parameter *parameters;
};
constexpr int first(int max_threads = 1024, int = 0, int = 0) { return max_threads; }

template <class T> struct Describe {
    static constexpr Parameter parameter() { return {0, sizeof(T), false, kind_of<T>(), sizeof(T)}; }
};
template <class T> struct Describe<T *> {
    static constexpr Parameter parameter() { return {0, sizeof(T *), true, kind_of<T>(), sizeof(T)}; }
};
template <class T> struct Describe<const T *> : Describe<T *> {};
template <> struct Describe<void *> {
    static constexpr Parameter parameter() { return {0, sizeof(void *), true, '?', 1}; }
};

template <class... Ts> struct Kernel {
    Parameter parameters[sizeof...(Ts) + 1];
    size_t bytes = 0;
    static constexpr std::index_sequence_for<Ts...> numbers{};

    constexpr Kernel() : parameters{Describe<Ts>::parameter()...} {
        constexpr size_t alignments[] = {alignof(Ts)..., 1};
        for (size_t i = 0; i < sizeof...(Ts); i++) {  // one after the other, each aligned, as in a struct
            bytes = (bytes + alignments[i] - 1) / alignments[i] * alignments[i];
            parameters[i].offset = bytes;
            bytes += parameters[i].size;
        }
    }
    template <size_t... i> void call(void (*kernel)(Ts...), char *arguments, std::index_sequence<i...>) const {
        kernel(*reinterpret_cast<Ts *>(arguments + parameters[i].offset)...);
    }
    constexpr Description description(int max_threads) const {
        return {sizeof...(Ts), max_threads, bytes, parameters};
    }
};
template <class... Ts> Kernel<Ts...> kernel_of(void (*)(Ts...));

}  // namespace emulator

// Further arguments are those of __launch_bounds__. Only the first one counts.
#define EMULATOR_KERNEL(name, ...)                                                                                    \
    static constexpr decltype(emulator::kernel_of(name)) emulator_kernel_##name;                                      \
    extern "C" EMULATOR_EXPORT const emulator::Description emulator_description_##name =                              \
        emulator_kernel_##name.description(emulator::first(__VA_ARGS__));                                             \
    extern "C" EMULATOR_EXPORT void emulator_enter_##name(char *arguments) {                                          \
        emulator_kernel_##name.call(name, arguments, emulator_kernel_##name.numbers);                                 \
    }
