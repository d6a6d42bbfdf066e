// A double-buffered matrix product in tiles: what versions 3 and 4 of convolution have in common.
//
// A block of 128 threads computes a tile of the product, TILE_M x 128, and walks along the sum, 8 terms per step:
//
//                  <-- TILE_N -->             fetch 0, store 0 into buffer 0
//                 +--------------+            barrier
//                 |      b       | TILE_K     fetch 1 .......... global memory -> registers; this takes long,
//                 +--------------+            multiply buffer 0    so the product is computed meanwhile
//      +---+      +--------------+            store 1 into buffer 1, which no thread is reading
//   ^  |   |      |              |            barrier
// TILE |   |      |              |            fetch 2
//  _M  | a |      |     sums     |            multiply buffer 1
//   |  |   |      |              |            store 2 into buffer 0, which no thread reads any more
//   v  |   |      |              |            barrier
//      +---+      +--------------+            ...
//      TILE_K
//
// With one buffer, each step would need two barriers (all have written, all have read), as in version 2.
#pragma once

constexpr int THREADS = 128, TILE_N = 128;  // one thread per column, wherever columns are read or written one by one
constexpr int TILE_K = 8;
constexpr int up_to_64(int rows) { return (rows + 63) / 64 * 64; }  // the filter gradient fetches 64 rows at once

// Four neighbors in memory, loaded or stored by one instruction (four doubles take two).
template <class Number> struct alignas(16) Four { Number at[4]; };
template <class Number> __device__ __forceinline__ Four<Number> load_four(const Number* from) {
    return *reinterpret_cast<const Four<Number>*>(from);
}
template <class Number> __device__ __forceinline__ void store_four(Number* to, const Four<Number>& four) {
    *reinterpret_cast<Four<Number>*>(to) = four;
}

// operands: fetch() loads the next step's tiles into registers, store(a, b) writes them to shared memory.
// sums.add(a, b): sums += a @ b.
template <class Operands, class Sums, class Left, class Right>
__device__ __forceinline__ void multiply(Operands& operands, int steps, Sums& sums, Left (&a)[2], Right (&b)[2]) {
    operands.fetch();
    operands.store(a[0], b[0]);
    __syncthreads();
    for (int step = 1; step < steps; ++step) {
        const int now = ~step & 1, next = step & 1;
        operands.fetch();
        sums.add(a[now], b[now]);
        operands.store(a[next], b[next]);
        __syncthreads();
    }
    sums.add(a[~steps & 1], b[~steps & 1]);
}

// The sums leave through shared memory, one slice of rows at a time: from there, thread i writes column i, so that
// neighboring threads write to neighboring addresses. Straight from registers, they would write to addresses that
// are 4 apart.
template <class Sums, class Staged, class Writer>
__device__ __forceinline__ void write(const Sums& sums, Staged& staged, const Writer& writer) {
    #pragma unroll
    for (int slice = 0; slice < Sums::SLICES; ++slice) {
        sums.stage(slice, staged);
        __syncthreads();
        for (int i = 0; i < Sums::SLICE_ROWS; ++i) writer.write(Sums::row(slice, i), staged[i][threadIdx.x]);
        __syncthreads();
    }
}
