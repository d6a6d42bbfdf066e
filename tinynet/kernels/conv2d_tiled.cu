// Convolution, version 2: a matrix product in tiles of shared memory, without ever storing the im2col matrix.
//
// In NumPy, with columns = im2col(x), for one group. The sum runs over e, the inner dimension of the product:
//
//     pass               product[m, j]                  m     j              e
//     forward            y  = w @ columns               k     (n, p, q)      (c, r, s)
//     input gradient     dx = w.T @ im2col of dy        c     (n, h, v)      (k, r, s)
//     filter gradient    dw = dy @ columns.T            k     (c, r, s)      (n, p, q)
//
// The product is "implicit": element (e, j) of the columns is read from x when it is needed. Each of the three
// structs below is one line of this table: it knows where left(m, e) and right(e, j) lie, and where to store the sum.
//
// Grid: one block of 16 x 16 threads for each 16 x 16 tile of each group's product, one thread per element.
//
//          e ->                 j ->
//        +----+ +----+         +----+       Step t: every thread loads one element of tile t of a, and one of b;
//     m  | a0 | | a1 | ...   e | b0 |       barrier; then it multiplies along its row of a and its column of b,
//     |  +----+ +----+       | +----+       which are all in shared memory by now; barrier.
//     v                      v | b1 |
//                              +----+       Loads from global memory per multiply-add: 2/16, where version 1 has 2.
//                                .          Loads from shared memory per multiply-add: 2. Version 3 cures that.
//
// Each thread stores one element of the result.

#include "conv2d.cuh"

constexpr int TILE = 16;

template <class Map> __device__ void tiled_product(const Map& map) {
    __shared__ T a[TILE][TILE];
    __shared__ T b[TILE][TILE];
    const unsigned tile = blockIdx.x / map.g.groups, tiles_m = (map.rows + TILE - 1) / TILE;
    const int m = tile % tiles_m * TILE + threadIdx.y, j = tile / tiles_m * TILE + threadIdx.x;
    T sum = 0;
    for (unsigned first = 0; first < map.terms; first += TILE) {
        const int e = first + threadIdx.x;  // neighboring threads, neighboring e
        a[threadIdx.y][threadIdx.x] = inside(m, map.rows) && inside(e, map.terms) ? map.left(m, e) : T(0);
        const int f = first + threadIdx.y;  // neighboring threads, neighboring j
        b[threadIdx.y][threadIdx.x] = inside(f, map.terms) && inside(j, map.columns) ? map.right(f, j) : T(0);
        __syncthreads();  // both tiles have been written
        for (int i = 0; i < TILE; ++i) sum += a[threadIdx.y][i] * b[i][threadIdx.x];
        __syncthreads();  // and read: the next ones may overwrite them
    }
    if (inside(m, map.rows) && inside(j, map.columns)) map.store(m, j, sum);
}

struct Forward {
    const T *x, *w, *bias;
    T* y;
    const LaunchShape& g;
    int group, rows, columns, terms;

    __device__ T left(int k, int e) const { return w[(group * rows + k) * terms + e]; }

    __device__ T right(int e, int j) const {
        const int s = e % g.S, r = e / g.S % g.R, c = group * (g.C / g.groups) + e / g.S / g.R;
        const int q = j % g.Q, p = j / g.Q % g.P, n = j / g.Q / g.P;
        const int h = input_row(g, p, r), v = input_column(g, q, s);
        return inside(h, g.H) && inside(v, g.W) ? x[((n * g.C + c) * g.H + h) * g.W + v] : T(0);
    }

    __device__ void store(int m, int j, T sum) const {
        const int k = group * rows + m, n = j / (g.P * g.Q), pq = j % (g.P * g.Q);
        if (bias) sum += bias[k];
        y[(n * g.K + k) * g.P * g.Q + pq] = g.relu && sum < 0 ? 0 : sum;
    }
};

struct InputGradient {
    const T *dy, *w;
    T* dx;
    const LaunchShape& g;
    int group, rows, columns, terms;

    __device__ T left(int c, int e) const {
        const int rs = e % (g.R * g.S), k = group * (g.K / g.groups) + e / (g.R * g.S);
        return w[(k * rows + c) * g.R * g.S + rs];
    }

    __device__ T right(int e, int j) const {  // with a stride most of these are 0; version 3 skips them
        const int s = e % g.S, r = e / g.S % g.R, k = group * (g.K / g.groups) + e / g.S / g.R;
        const int v = j % g.W, h = j / g.W % g.H, n = j / g.W / g.H;
        const int p = output_row(g, h, r), q = output_column(g, v, s);
        return p >= 0 && q >= 0 ? dy[((n * g.K + k) * g.P + p) * g.Q + q] : T(0);
    }

    __device__ void store(int m, int j, T sum) const {
        const int n = j / (g.H * g.W), hv = j % (g.H * g.W);
        dx[(n * g.C + group * rows + m) * g.H * g.W + hv] = sum;
    }
};

struct FilterGradient {
    const T *dy, *x;
    T* dw;
    const LaunchShape& g;
    int group, rows, columns, terms;

    __device__ T left(int k, int e) const {
        const int n = e / (g.P * g.Q), pq = e % (g.P * g.Q);
        return dy[(n * g.K + group * rows + k) * g.P * g.Q + pq];
    }

    __device__ T right(int e, int j) const {
        const int s = j % g.S, r = j / g.S % g.R, c = group * (g.C / g.groups) + j / g.S / g.R;
        const int q = e % g.Q, p = e / g.Q % g.P, n = e / g.Q / g.P;
        const int h = input_row(g, p, r), v = input_column(g, q, s);
        return inside(h, g.H) && inside(v, g.W) ? x[((n * g.C + c) * g.H + h) * g.W + v] : T(0);
    }

    __device__ void store(int m, int j, T sum) const { dw[(group * rows + m) * columns + j] = sum; }
};

extern "C" __global__ void conv2d_forward_v2(const T* __restrict__ x, const T* __restrict__ w,
                                             const T* __restrict__ bias, T* __restrict__ y, const LaunchShape g) {
    const int group = blockIdx.x % g.groups;
    const int rows = g.K / g.groups, columns = g.N * g.P * g.Q, terms = g.C / g.groups * g.R * g.S;
    tiled_product(Forward{x, w, bias, y, g, group, rows, columns, terms});
}

extern "C" __global__ void conv2d_input_gradient_v2(const T* __restrict__ dy, const T* __restrict__ w,
                                                    T* __restrict__ dx, const LaunchShape g) {
    const int group = blockIdx.x % g.groups;
    const int rows = g.C / g.groups, columns = g.N * g.H * g.W, terms = g.K / g.groups * g.R * g.S;
    tiled_product(InputGradient{dy, w, dx, g, group, rows, columns, terms});
}

extern "C" __global__ void conv2d_filter_gradient_v2(const T* __restrict__ dy, const T* __restrict__ x,
                                                     T* __restrict__ dw, const LaunchShape g) {
    const int group = blockIdx.x % g.groups;
    const int rows = g.K / g.groups, columns = g.C / g.groups * g.R * g.S, terms = g.N * g.P * g.Q;
    tiled_product(FilterGradient{dy, x, dw, g, group, rows, columns, terms});
}
