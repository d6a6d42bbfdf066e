// A matrix product in tiles, double buffered: what versions 3 and 4 of convolution have in common.
//
// A block of 128 threads computes a tile of the product, TILE_M x 128, and walks along the sum 8 terms a step:
//
//                  <-- TILE_N -->             fetch 0, put 0 into buffer 0
//                 +--------------+            barrier
//                 |      b       | TILE_K     fetch 1 .......... global memory -> registers; it takes long,
//                 +--------------+            multiply buffer 0    and this is done meanwhile
//      +---+      +--------------+            put 1 into buffer 1, which nobody reads now
//   ^  |   |      |              |            barrier
// TILE |   |      |              |            fetch 2
//  _M  | a |      |     sums     |            multiply buffer 1
//   |  |   |      |              |            put 2 into buffer 0, which nobody reads any more
//   v  |   |      |              |            barrier
//      +---+      +--------------+            ...
//      TILE_K
//
// With one buffer there would be two barriers a step (all have written, all have read), as in version 2.
#pragma once

constexpr int THREADS = 128, TILE_N = 128;  // one thread a column, wherever columns are read or written one by one
constexpr int TILE_K = 8;
constexpr int up_to_64(int rows) { return (rows + 63) / 64 * 64; }  // the filter gradient fetches 64 rows at once

// Four neighbors in memory, loaded and stored by one instruction. (Four doubles: by two.)
template <class Number> struct alignas(16) Four { Number at[4]; };
template <class Number> __device__ __forceinline__ Four<Number> load_four(const Number* from) {
    return *reinterpret_cast<const Four<Number>*>(from);
}
template <class Number> __device__ __forceinline__ void store_four(Number* to, const Four<Number>& four) {
    *reinterpret_cast<Four<Number>*>(to) = four;
}

// operands: fetch() loads the next step's tiles into registers, put(a, b) stores them to shared memory.
// sums.add(a, b): sums += a @ b.
template <class Operands, class Sums, class Left, class Right>
__device__ __forceinline__ void multiply(Operands& operands, int steps, Sums& sums, Left (&a)[2], Right (&b)[2]) {
    operands.fetch();
    operands.put(a[0], b[0]);
    __syncthreads();
    for (int step = 1; step < steps; ++step) {
        const int now = ~step & 1, next = step & 1;
        operands.fetch();
        sums.add(a[now], b[now]);
        operands.put(a[next], b[next]);
        __syncthreads();
    }
    sums.add(a[~steps & 1], b[~steps & 1]);
}

// The sums go out through shared memory, a slice of the rows at a time: there, thread i picks up column i. So
// neighboring threads write to neighboring places; from its registers a thread would write to every fourth.
template <class Sums, class Staged, class Out>
__device__ __forceinline__ void write(const Sums& sums, Staged& staged, const Out& out) {
    #pragma unroll
    for (int slice = 0; slice < Sums::SLICES; ++slice) {
        sums.stage(slice, staged);
        __syncthreads();
        for (int i = 0; i < Sums::SLICE_ROWS; ++i) out.put(Sums::row(slice, i), staged[i][threadIdx.x]);
        __syncthreads();
    }
}
