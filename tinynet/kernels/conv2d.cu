// Convolution, version 3, the one that runs by default: a matrix product in registers.
//
// In NumPy, with columns = im2col(x), one group:
//
//     forward            y = relu(w @ columns + b)
//     input gradient     dx[:, :, h::stride, v::stride] = w[:, :, rows, columns of this phase].T @ im2col(dy)
//     filter gradient    dw = sum(dy[:, share] @ columns[:, share].T for share in shares of the places)
//
// Index maps: conv2d_maps.cuh. Loop over the tiles: conv2d_gemm.cuh. Grids: conv2d_kernels.cuh. Here: the arithmetic.
//
// A number that comes from shared memory should serve more than one multiply-add. So a thread computes not one
// number of the tile but THREAD_M x THREAD_N, in registers: for each term it loads THREAD_M + THREAD_N numbers and
// does THREAD_M * THREAD_N multiply-adds. Of 16 x 8, with one load for four neighbors: 6 loads, 128 multiply-adds.
//
//     the tile, in pieces of 4 x 4, and which thread computes each piece (THREAD_M = THREAD_N = 8)
//
//          0   4       28  32      60  64          A warp is 4 rows of 8 threads. Those that share a row load the
//      0   0   1 ...    7  32 ...  39   0   1      same four numbers of a, those that share a column the same four
//      4   8   9 ...   15  40 ...  47   8   9      of b: so all fours of b that a warp loads at once lie side by
//          :            :   :       :   :          side, in 32 different banks.
//     28  88  89 ...   95 120 ... 127  88  89
//     32   0   1 ...    7  32 ...  39   0   1
//
//     kernel                     blocks of 128 threads                            a thread, per step of 8 terms
//     conv2d_correlate           tiles of m * groups * tiles of places            TILE_M/64 fours of w, 8 of x (or dy)
//     conv2d_filter_gradient     tiles of m * groups * tiles of cells; shares     TILE_M/16 of dy, 8 of x
//     conv2d_lay_out_filters     1/128 for each 8 weights laid out                (all in all:) 8 of w, 8 stores
//     conv2d_sum_parts           1/128 for each weight                            1 of each part, 1 store
//
// The first two load 6 fours of the table of cells, too, and store TILE_M numbers a thread at the end. Blocks lie
// along x, shares along y: CUDA ends y and z at 65,535.
//
// Compiled for each shape of tile: -DTHREAD_M=16|12|8 -DTHREAD_N=8|4. TILE_M is their product.

#ifndef THREAD_M
constexpr int THREAD_M = sizeof(T) == 8 ? 8 : 16, THREAD_N = 8;
#endif

#include "conv2d_gemm.cuh"

constexpr int COLUMNS = TILE_N / THREAD_N, ROWS = THREADS / COLUMNS;  // of threads in the tile
constexpr int TILE_M = ROWS * THREAD_M, LEFT_ROWS = up_to_64(TILE_M);
// On a multiprocessor at the same time: as many as it has registers for.
constexpr int BLOCKS = THREAD_M * THREAD_N > 64 || sizeof(T) == 8 ? 2 : 3;

typedef T Number;  // of the arrays
typedef T Stored;  // in the tiles
typedef Stored LeftTile[TILE_K][LEFT_ROWS + 4], RightTile[TILE_K][TILE_N + 4];  // 4 more: rows begin in different banks
typedef Number StagedTile[ROWS][TILE_N + 4];

__device__ __forceinline__ Number stored(Number value) { return value; }
__device__ __forceinline__ Four<Number> stored(const Four<Number>& four) { return four; }
__device__ __forceinline__ int swizzled(int, int i) { return i; }

struct Sums {
    static constexpr int SLICES = THREAD_M, SLICE_ROWS = ROWS;
    Number sum[THREAD_M][THREAD_N];
    int my_row, my_column;  // of this thread among ROWS x COLUMNS

    __device__ Sums() : sum{} {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        my_row = warp / (COLUMNS / 8) * 4 + lane / 8;
        my_column = warp % (COLUMNS / 8) * 8 + lane % 8;
    }

    __device__ __forceinline__ void add(const LeftTile& a, const RightTile& b) {
        #pragma unroll
        for (int e = 0; e < TILE_K; ++e) {
            Four<Number> left[THREAD_M / 4], right[THREAD_N / 4];
            #pragma unroll
            for (int i = 0; i < THREAD_M / 4; ++i) left[i] = load_four(&a[e][(i * ROWS + my_row) * 4]);
            #pragma unroll
            for (int j = 0; j < THREAD_N / 4; ++j) right[j] = load_four(&b[e][(j * COLUMNS + my_column) * 4]);
            #pragma unroll
            for (int i = 0; i < THREAD_M; ++i)
                #pragma unroll
                for (int j = 0; j < THREAD_N; ++j) sum[i][j] += left[i / 4].at[i % 4] * right[j / 4].at[j % 4];
        }
    }

    // Slice i: row i of every thread. Row `thread_row` of it is this row of the tile:
    static __device__ __forceinline__ int row(int i, int thread_row) { return (i / 4 * ROWS + thread_row) * 4 + i % 4; }

    __device__ __forceinline__ void stage(int i, StagedTile& staged) const {
        #pragma unroll
        for (int j = 0; j < THREAD_N; j += 4)
            store_four(&staged[my_row][(j / 4 * COLUMNS + my_column) * 4],
                       Four<Number>{sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]});
    }
};

#include "conv2d_maps.cuh"
#include "conv2d_kernels.cuh"
