// The index maps of convolution, versions 3 and 4: what row m and column j of the product stand for, and where in
// memory the numbers lie that meet there. conv2d_gemm.cuh has the product itself, conv2d_kernels.cuh the kernels.
//
// Two products serve the three passes. Both read an image through the taps of a filter:
//
//     correlate          out[m,j] = sum over e of filters[e,m] * columns[e,j]     forward; input gradient
//     filter gradient     dw[m,e] = sum over j of dy[m,j] * columns[e,j]
//
//     m   a channel of the image that is written, counted within its group (forward: k; input gradient: c)
//     j   an output position (n, p, q)
//     e   a tap of the filter: (c, r, s) in the forward pass, (k, r, s) in the input gradient
//
//     columns[e,j] = in[n, channel of e, h, v], or 0 outside the image, with
//     h = p * stride_h + origin_h + row of e,    v = q * stride_w + origin_w + column of e
//
// What a tap adds to h, to v and to the address is the same at every position. So Python computes it once for each
// LaunchShape, as a table, and no loop here divides. The table is int table[4][table_length]. Column e of it holds
#pragma once

enum {
    OFFSET,  // from the window's first tap to this one, in elements
    ROW,     // the same in rows; NOWHERE in the padding after the last tap
    COLUMN,  // and in columns
    WEIGHT,  // index of this tap's weight in the filter of m = 0; -1 in the padding
};

struct Correlation {              // filled in by conv2d_maps.py, in this order
    int C, H, W;                  // the image that is read: x, or dy with its K, P and Q
    int P, Q;                     // rows and columns of output positions in one image
    int stride_h, stride_w;       // from one position to the next, in rows and columns of the image that is read
    int origin_h, origin_w;       // where the window of position (0, 0) begins: -padding in the forward pass
    int M, out_H, out_W;          // the image that is written: channels per group, rows, columns
    int out_stride_h, out_stride_w;  // position (p, q) is written to row p * out_stride_h + out_origin_h, ...
    int out_origin_h, out_origin_w;
    int positions;                // N * P * Q
    int groups;
    int tiles_m;                  // how many tiles cover M
    int padded_taps;              // taps of a filter, rounded up to a multiple of TILE_K
    int table_length;             // taps of a filter, rounded up to a multiple of TILE_N
    int relu;                     // 1: clamp what is written at 0
};

// A window row that is outside the image whatever tap is added to it. The sum of two of these still fits an int.
constexpr int NOWHERE = -(1 << 30);

__device__ __forceinline__ bool inside(int i, int size) { return (unsigned)i < (unsigned)size; }

struct Position {
    int n, p, q;

    __device__ Position(int j, const Correlation& c) : n(j / (c.P * c.Q)), p(j / c.Q % c.P), q(j % c.Q) {}

    // Adds without dividing, by carrying to the left, as one adds hours, minutes and seconds.
    __device__ __forceinline__ void advance(const Position& step, const Correlation& c) {
        q += step.q;
        p += step.p;
        n += step.n;
        if (q >= c.Q) { q -= c.Q; ++p; }
        if (p >= c.P) { p -= c.P; ++n; }
    }
};

// The part of the image under the filter at one position. Its first tap may lie outside the image, even before the
// start of its memory. Hence the unsigned sums: they wrap around and back, and are right for every tap inside.
struct Window {
    unsigned corner;
    int h, v;

    __device__ __forceinline__ Window(const Position& at, bool exists, const Correlation& c, int group)
        : h(at.p * c.stride_h + c.origin_h), v(at.q * c.stride_w + c.origin_w) {
        corner = (unsigned)((at.n * c.groups + group) * (c.C / c.groups) * c.H * c.W) + (unsigned)h * c.W + v;
        if (!exists) h = NOWHERE;
    }

    // The pixels under the four taps from e on; e is a multiple of 4. One load brings four entries of the table.
    __device__ __forceinline__ Four<Number> load_taps(const Number* in, const int* table, int e,
                                                      const Correlation& c) const {
        const Four<int> offset = load_four(&table[OFFSET * c.table_length + e]);
        const Four<int> row = load_four(&table[ROW * c.table_length + e]);
        const Four<int> column = load_four(&table[COLUMN * c.table_length + e]);
        Four<Number> pixels;
        #pragma unroll
        for (int i = 0; i < 4; ++i) {
            const bool exists = inside(h + row.at[i], c.H) & inside(v + column.at[i], c.W);
            pixels.at[i] = exists ? in[corner + offset.at[i]] : Number(0);
        }
        return pixels;
    }
};

// --------------------------------------------------------------------------------------- operands of correlate
//
// Left: the filters as conv2d_pack_filters leaves them, four rows m per load and no edges to check.
// Right: every thread owns one column of the tile, that is one position. It computes (n, p, q) once, and then reads
// tap after tap. Neighboring threads have neighboring positions, so a warp reads 32 neighboring pixels at once.
struct CorrelateOperands {
    static constexpr int FOURS = TILE_M / 4;  // in one row of the left tile
    static constexpr int LOADS = (TILE_K * FOURS + THREADS - 1) / THREADS;

    const Correlation& c;
    const Number* in;
    const Stored* filters;
    const int* table;
    int e = 0;
    Window window;
    Four<Stored> left[LOADS];
    Four<Number> right[TILE_K / 4];

    __device__ CorrelateOperands(const Number* in, const Stored* filters, const int* table, const Correlation& c,
                                 int group, int first_m, int j)
        : c(c), in(in), filters(filters + (long long)group * c.padded_taps * c.tiles_m * TILE_M + first_m),
          table(table), window(Position(j, c), inside(j, c.positions), c, group) {}

    // The next TILE_K taps, from global memory into registers.
    __device__ __forceinline__ void fetch() {
        const int row_length = c.tiles_m * TILE_M;
        #pragma unroll
        for (int i = 0; i < TILE_K; i += 4) right[i / 4] = window.load_taps(in, table, e + i, c);
        #pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            const int i = load * THREADS + threadIdx.x;
            if (i < TILE_K * FOURS) left[load] = load_four(&filters[i / FOURS * row_length + i % FOURS * 4]);
        }
        filters += TILE_K * row_length;
        e += TILE_K;
    }

    // From registers into shared memory.
    __device__ __forceinline__ void store(LeftTile& a, RightTile& b) const {
        #pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            const int i = load * THREADS + threadIdx.x, e = i / FOURS;
            if (i < TILE_K * FOURS) store_four(&a[e][swizzled(e, i % FOURS * 4)], left[load]);
        }
        #pragma unroll
        for (int e = 0; e < TILE_K; ++e) b[e][swizzled(e, threadIdx.x)] = stored(right[e / 4].at[e % 4]);
    }
};

// --------------------------------------------------------------------------------- operands of filter gradient
//
// The sum runs over positions, and a column is a tap. Both operands lie in memory position after position: TILE_K
// neighboring threads read neighboring positions, each for rows m and taps e of its own, four at a time.
struct FilterGradientOperands {
    static constexpr int ROWS = 4 * THREADS / TILE_K;  // that the block reads at once
    static constexpr int LEFT = LEFT_ROWS / ROWS, RIGHT = TILE_N / ROWS;

    const Correlation& c;
    const Number *dy, *x;
    const int* table;
    int group, row, m, end_m, e;
    unsigned j, end;
    Position position, step;
    Four<Number> left[LEFT], right[RIGHT];

    __device__ FilterGradientOperands(const Number* dy, const Number* x, const int* table, const Correlation& c,
                                      int group, int first_m, int first_e, unsigned first_position, unsigned end)
        : c(c), dy(dy), x(x), table(table), group(group), row(threadIdx.x / TILE_K * 4), m(first_m + row),
          end_m(min(first_m + TILE_M, c.M)), e(first_e + row), j(first_position + threadIdx.x % TILE_K), end(end),
          position(j, c), step(TILE_K, c) {}

    // The next TILE_K positions.
    __device__ __forceinline__ void fetch() {
        const bool exists = j < end;
        const int size = c.P * c.Q;
        // dy[n,k,p,q] lies at (n * K + k) * size + p * Q + q, and j = n * size + p * Q + q.
        int at = (position.n * (c.groups * c.M - 1) + group * c.M + m) * size + (int)j;
        #pragma unroll
        for (int i = 0; i < LEFT; ++i, at += ROWS * size)
            #pragma unroll
            for (int down = 0; down < 4; ++down)
                left[i].at[down] = exists & (m + i * ROWS + down < end_m) ? dy[at + down * size] : Number(0);
        const Window window(position, exists, c, group);
        #pragma unroll
        for (int i = 0; i < RIGHT; ++i) right[i] = window.load_taps(x, table, e + i * ROWS, c);
        position.advance(step, c);
        j += TILE_K;
    }

    __device__ __forceinline__ void store(LeftTile& a, RightTile& b) const {
        const int e = threadIdx.x % TILE_K;
        #pragma unroll
        for (int i = 0; i < LEFT; ++i) store_four(&a[e][swizzled(e, row + i * ROWS)], stored(left[i]));
        #pragma unroll
        for (int i = 0; i < RIGHT; ++i) store_four(&b[e][swizzled(e, row + i * ROWS)], stored(right[i]));
    }
};

// ------------------------------------------------------------------------------------------- writing the result

// Writes row m, column j of the product: channel m at position j. Also the epilogue: bias and ReLU.
struct OutputWriter {
    const Correlation& c;
    Number* out;
    const Number* bias;
    int first_m;
    bool exists;

    __device__ OutputWriter(Number* all, const Number* biases, const Correlation& c, int group, int first_m, int j)
        : c(c), bias(biases ? biases + group * c.M : nullptr), first_m(first_m), exists(inside(j, c.positions)) {
        const Position at(j, c);
        const int h = at.p * c.out_stride_h + c.out_origin_h, v = at.q * c.out_stride_w + c.out_origin_w;
        out = all + (((long long)at.n * c.groups + group) * c.M * c.out_H + h) * c.out_W + v;
    }

    __device__ __forceinline__ void write(int row, Number value) const {
        const int m = first_m + row;
        if (!exists || m >= c.M) return;
        if (bias) value += bias[m];
        if (c.relu && value < 0) value = 0;  // a NaN is not < 0, so it stays
        out[(long long)m * c.out_H * c.out_W] = value;
    }
};

// Writes row m, column e of the product: tap e of filter m.
struct FilterGradientWriter {
    Number* dw;  // of m = 0
    int M, taps, first_m, e;

    __device__ __forceinline__ void write(int row, Number value) const {
        const int m = first_m + row;
        if (m < M && e < taps) dw[(long long)m * taps + e] = value;
    }
};
