// Convolution, version 3, which runs by default: a matrix product in registers.
//
// In NumPy, with columns = im2col(x), for one group:
//
//     forward            y = relu(w @ columns + b)
//     input gradient     dx[:, :, h::stride, v::stride] = w[:, :, rows, columns of this phase].T @ im2col(dy)
//     filter gradient    dw = sum(dy[:, split] @ columns[:, split].T for split in splits of the positions)
//
// The index maps are in conv2d_maps.cuh, the loop over the tiles in conv2d_gemm.cuh, the kernels in
// conv2d_kernels.cuh. This file has the arithmetic.
//
// A number loaded from shared memory should serve more than one multiply-add. So a thread computes not one element
// of the tile but THREAD_M x THREAD_N of them, in registers: for each term it loads THREAD_M + THREAD_N numbers and
// does THREAD_M * THREAD_N multiply-adds. With 16 x 8, and four neighbors per load: 6 loads, 128 multiply-adds.
//
//     the tile in pieces of 4 x 4, and the thread that computes each piece (THREAD_M = THREAD_N = 8)
//
//          0   4       28  32      60  64          A warp is 4 rows of 8 threads. Threads in one row load the same
//      0   0   1 ...    7  32 ...  39   0   1      four numbers of a, threads in one column the same four of b. So
//      4   8   9 ...   15  40 ...  47   8   9      all the fours of b that a warp loads at once lie side by side,
//          :            :   :       :   :          in 32 different banks.
//     28  88  89 ...   95 120 ... 127  88  89
//     32   0   1 ...    7  32 ...  39   0   1
//
//     kernel                     grid, in blocks of 128 threads                    loads per thread and step of 8 terms
//     conv2d_correlate           tiles of m * groups * tiles of positions          TILE_M/64 fours of w, 8 of x (or dy)
//     conv2d_filter_gradient     tiles of m * groups * tiles of taps, by splits    TILE_M/16 of dy, 8 of x
//     conv2d_pack_filters        one thread per 8 packed weights                   in all: 8 of w, and 8 stores
//     conv2d_sum_partials        one thread per weight                             in all: 1 per split, and 1 store
//
// The first two also load 6 fours of the table of taps per step, and store TILE_M numbers per thread at the end.
// Blocks are counted along x and splits along y, because CUDA limits y and z to 65,535.
//
// Compiled once per tile shape: -DTHREAD_M=16|12|8 -DTHREAD_N=8|4. TILE_M is their product.

#ifndef THREAD_M
constexpr int THREAD_M = sizeof(T) == 8 ? 8 : 16, THREAD_N = 8;
#endif

#include "conv2d_gemm.cuh"

constexpr int COLUMNS = TILE_N / THREAD_N, ROWS = THREADS / COLUMNS;  // of threads in the tile
constexpr int TILE_M = ROWS * THREAD_M, LEFT_ROWS = up_to_64(TILE_M);
// Resident on a multiprocessor at the same time: as many as its registers allow.
constexpr int BLOCKS = THREAD_M * THREAD_N > 64 || sizeof(T) == 8 ? 2 : 3;

typedef T Number;  // in the arrays
typedef T Stored;  // in the tiles
// 4 columns of padding, so that the rows begin in different banks.
typedef Stored LeftTile[TILE_K][LEFT_ROWS + 4], RightTile[TILE_K][TILE_N + 4];
typedef Number StagedTile[ROWS][TILE_N + 4];

__device__ __forceinline__ Number stored(Number value) { return value; }
__device__ __forceinline__ Four<Number> stored(const Four<Number>& four) { return four; }
__device__ __forceinline__ int swizzled(int, int i) { return i; }

struct Sums {
    static constexpr int SLICES = THREAD_M, SLICE_ROWS = ROWS;
    Number sum[THREAD_M][THREAD_N];
    int my_row, my_column;  // of this thread, among ROWS x COLUMNS

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

    // Slice i is row i of every thread. Its row `thread_row` is this row of the tile:
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
