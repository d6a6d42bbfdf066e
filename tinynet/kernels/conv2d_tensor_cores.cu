// Convolution, version 4: the products of version 3 on tensor cores. Needs compute capability 8.0 or later.
//
// In NumPy: as version 3, with both operands rounded to TF32, which has the 8 exponent bits of a float but only 10
// of its 23 mantissa bits. The product of two such numbers is exact in float32. The sums are float32 numbers too, but
// tensor cores truncate where float32 arithmetic rounds to nearest: they cut addends off at the last bit of the largest
// (Fasi et al., 2021; not documented by NVIDIA). So a long sum of positive numbers comes out low, by some 5e-5 of
// itself after 3200 terms: less than TF32's three digits, more than float32's rounding. docs/kernels.md has a model.
//
// One instruction, mma ("matrix multiply-accumulate"), is executed by a whole warp: d (16 x 8) += a (16 x 8) @
// b (8 x 8), 1024 multiply-adds. Each thread holds a few elements of each matrix, in an order that the hardware
// prescribes (PTX manual, "Matrix Fragments for mma.m16n8k8"). With g = lane / 4 and t = lane % 4:
//
//           t                    g                    2t, 2t + 1
//      +---------+          +---------+             +---------+
//    g | a0   a2 |        t |   b0    |           g |  d0, d1 |      a1, a3, d2, d3: 8 rows further down
//      |         |    t + 4 |   b1    |             |         |      a2, a3: 4 columns further right
//  g+8 | a1   a3 |          +---------+         g+8 |  d2, d3 |
//      +---------+                                  +---------+
//
// A warp computes WARP_M x WARP_N elements of the tile, in pieces of 16 x 8. With 64 x 64, each thread loads 32 numbers
// from shared memory for 32 mma, which is 1 load for each 32 multiply-adds (an mma is 32 per thread).
//
// Grids, loads and stores as in version 3. Compiled once per tile shape: -DWARP_M=64|48|32 -DWARP_N=64|32.

#ifndef WARP_M
constexpr int WARP_M = 64, WARP_N = 64;
#endif

#include "conv2d_gemm.cuh"

constexpr int COLUMNS = TILE_N / WARP_N, ROWS = THREADS / 32 / COLUMNS;  // of warps in the tile
constexpr int TILE_M = ROWS * WARP_M, LEFT_ROWS = up_to_64(TILE_M);
constexpr int BLOCKS = WARP_M * WARP_N > 2048 ? 2 : 3;  // resident on a multiprocessor at the same time

typedef float Number;     // in the arrays
typedef unsigned Stored;  // in the tiles: the bits of a TF32 number
typedef Stored LeftTile[TILE_K][LEFT_ROWS + 8], RightTile[TILE_K][TILE_N + 8];
typedef Number StagedTile[8 * ROWS][TILE_N + 8];

// Each row begins 8 banks after the one above, so the 4 rows and 8 columns of a fragment lie in 32 different banks.
// Where 8 rows are written at once, in fours, rows 4 to 7 would collide with rows 0 to 3. So in rows 4 to 7 each
// pair of neighboring fours is swapped.
__device__ __forceinline__ int swizzled(int e, int i) { return i ^ (e & 4); }

// Rounds to the nearest TF32 number. (On their own, the tensor cores would truncate the last 13 bits.)
__device__ __forceinline__ Stored stored(Number value) {
#if defined(TINYNET_EMULATOR)
    return emulated_to_tf32(value);
#elif __CUDA_ARCH__ >= 800
    Stored bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
#else
    return 0;  // never called: conv2d.py checks the compute capability
#endif
}

__device__ __forceinline__ Four<Stored> stored(const Four<Number>& four) {
    return {stored(four.at[0]), stored(four.at[1]), stored(four.at[2]), stored(four.at[3])};
}

__device__ __forceinline__ void mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if defined(TINYNET_EMULATOR)
    emulated_mma_m16n8k8_tf32(d, a, b);
#elif __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

struct Sums {
    static constexpr int SLICES = WARP_M / 8, SLICE_ROWS = 8 * ROWS;
    float sum[WARP_M / 16][WARP_N / 8][4];
    int warp_row, column, g, t;

    __device__ Sums() : sum{} {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        warp_row = warp / COLUMNS;
        column = warp % COLUMNS * WARP_N;
        g = lane / 4;
        t = lane % 4;
    }

    __device__ __forceinline__ void add(const LeftTile& a, const RightTile& b) {
        const int lower = swizzled(4, g);  // where rows 4 to 7 hold column g
        unsigned right[WARP_N / 8][2];
        #pragma unroll
        for (int j = 0; j < WARP_N / 8; ++j) {
            right[j][0] = b[t][column + j * 8 + g];
            right[j][1] = b[t + 4][column + j * 8 + lower];
        }
        #pragma unroll
        for (int i = 0; i < WARP_M / 16; ++i) {
            const int m = warp_row * WARP_M + i * 16;
            const unsigned left[4] = {a[t][m + g], a[t][m + 8 + g], a[t + 4][m + lower], a[t + 4][m + 8 + lower]};
            #pragma unroll
            for (int j = 0; j < WARP_N / 8; ++j) mma(sum[i][j], left, right[j]);
        }
    }

    // Slice i is rows 8 * i to 8 * i + 7 of every warp, which is half a row of pieces.
    static __device__ __forceinline__ int row(int i, int staged_row) {
        return staged_row / 8 * WARP_M + i * 8 + staged_row % 8;
    }

    __device__ __forceinline__ void stage(int i, StagedTile& staged) const {
        #pragma unroll
        for (int j = 0; j < WARP_N / 8; ++j) {
            Number* to = &staged[warp_row * 8 + g][column + j * 8 + 2 * t];
            to[0] = sum[i / 2][j][i % 2 * 2];
            to[1] = sum[i / 2][j][i % 2 * 2 + 1];
        }
    }
};

#include "conv2d_maps.cuh"
#include "conv2d_kernels.cuh"
