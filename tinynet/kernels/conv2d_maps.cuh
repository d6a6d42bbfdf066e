// The index maps of convolution, versions 3 and 4: who is row m, who is column j, and where in memory the numbers
// lie that meet there. The product itself is in conv2d_gemm.cuh, the kernels are in conv2d_kernels.cuh.
//
// Two products serve the three passes. Both look at an image through the cells of a filter:
//
//     correlate          out[m,j] = sum over e of filters[e,m] * windows[e,j]     forward; input gradient
//     filter gradient     dw[m,e] = sum over j of dy[m,j] * windows[e,j]
//
//     m   a channel of what is written, counted within its group (forward: k; input gradient: c)
//     j   a place (n, p, q): where in which image the filter stops
//     e   a cell of the filter: (c, r, s) in the forward pass, (k, r, s) in the input gradient
//
//     windows[e,j] = in[n, channel of e, h, v], or 0 outside the image, with
//     h = p * step_h + first_h + row of e,    v = q * step_v + first_v + column of e
//
// What a cell adds to h, to v and to the address is the same at every place. So Python works it out once a
// geometry, as a table, and no loop here divides. The table is int cells[4][length]; at e it holds
#pragma once

enum {
    OFFSET,  // from the window's first cell to this one, in elements
    ROW,     // the same in rows; NOWHERE behind the last cell, where the table is filled up
    COLUMN,  // and in columns
    WEIGHT,  // where the filter of m = 0 keeps this cell's weight; -1 behind the last cell
};

struct Correlation {
    int C, H, W;                  // the image that is read: x; or dy, with its K, P and Q
    int P, Q;                     // rows and columns of places in one image
    int step_h, step_v;           // from one place to the next, in rows and columns of the image that is read
    int first_h, first_v;         // where the window of the first place begins: -padding in the forward pass
    int M, out_H, out_W;          // the image that is written: channels of a group, rows, columns
    int out_step_h, out_step_v;   // place (p, q) is written to row p * out_step_h + out_first_h, ...
    int out_first_h, out_first_v;
    int places;                   // N * P * Q
    int groups;
    int tiles_m;                  // how many tiles cover M
    int cells;                    // that a filter has, rounded up to a multiple of TILE_K
    int length;                   // of the table: rounded up to a multiple of TILE_N
    int relu;                     // 1: clamp what is written at 0
};

// The row of a window that is nowhere in the image, whatever cell is added. Two of these are still an int.
constexpr int NOWHERE = -(1 << 30);

__device__ __forceinline__ bool inside(int i, int size) { return (unsigned)i < (unsigned)size; }

struct Place {
    int n, p, q;

    __device__ Place(int j, const Correlation& c) : n(j / (c.P * c.Q)), p(j / c.Q % c.P), q(j % c.Q) {}

    // As one adds hours, minutes and seconds: carry to the left, no division.
    __device__ __forceinline__ void advance(const Place& step, const Correlation& c) {
        q += step.q;
        p += step.p;
        n += step.n;
        if (q >= c.Q) { q -= c.Q; ++p; }
        if (p >= c.P) { p -= c.P; ++n; }
    }
};

// What the filter sees at a place. The window's first cell may lie outside of the image, even before its memory
// begins: hence the unsigned sums, which wrap around, there and back, and are right for every cell inside.
struct Window {
    unsigned corner;
    int h, v;

    __device__ __forceinline__ Window(const Place& place, bool exists, const Correlation& c, int group)
        : h(place.p * c.step_h + c.first_h), v(place.q * c.step_v + c.first_v) {
        corner = (unsigned)((place.n * c.groups + group) * (c.C / c.groups) * c.H * c.W) + (unsigned)h * c.W + v;
        if (!exists) h = NOWHERE;
    }

    // What the four cells from e on see; e: a multiple of 4. The table comes four numbers in a load.
    __device__ __forceinline__ Four<Number> look(const Number* in, const int* cells, int e,
                                                 const Correlation& c) const {
        const Four<int> offset = load_four(&cells[OFFSET * c.length + e]);
        const Four<int> row = load_four(&cells[ROW * c.length + e]);
        const Four<int> column = load_four(&cells[COLUMN * c.length + e]);
        Four<Number> seen;
        #pragma unroll
        for (int i = 0; i < 4; ++i) {
            const bool exists = inside(h + row.at[i], c.H) & inside(v + column.at[i], c.W);
            seen.at[i] = exists ? in[corner + offset.at[i]] : Number(0);
        }
        return seen;
    }
};

// --------------------------------------------------------------------------------------- operands of correlate
//
// Left: the filters as conv2d_lay_out_filters leaves them, four rows m in one load and no edges to mind.
// Right: every thread owns one column of the tile, a place. It works out (n, p, q) once, and then looks at cell
// after cell. Neighboring threads have neighboring places: a warp reads 32 neighboring pixels at once.
struct CorrelateOperands {
    static constexpr int FOURS = TILE_M / 4;  // in one row of the left tile
    static constexpr int LOADS = (TILE_K * FOURS + THREADS - 1) / THREADS;

    const Correlation& c;
    const Number* in;
    const Stored* filters;
    const int* cells;
    int e = 0;
    Window window;
    Four<Stored> left[LOADS];
    Four<Number> right[TILE_K / 4];

    __device__ CorrelateOperands(const Number* in, const Stored* filters, const int* cells, const Correlation& c,
                                 int group, int first_m, int j)
        : c(c), in(in), filters(filters + (long long)group * c.cells * c.tiles_m * TILE_M + first_m), cells(cells),
          window(Place(j, c), inside(j, c.places), c, group) {}

    // The next TILE_K cells, from global memory into registers.
    __device__ __forceinline__ void fetch() {
        const int length = c.tiles_m * TILE_M;
        #pragma unroll
        for (int i = 0; i < TILE_K; i += 4) right[i / 4] = window.look(in, cells, e + i, c);
        #pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            const int i = load * THREADS + threadIdx.x;
            if (i < TILE_K * FOURS) left[load] = load_four(&filters[i / FOURS * length + i % FOURS * 4]);
        }
        filters += TILE_K * length;
        e += TILE_K;
    }

    // From registers into shared memory.
    __device__ __forceinline__ void put(LeftTile& a, RightTile& b) const {
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
// The sum runs over places, and a column is a cell. Both operands lie in memory place after place: TILE_K
// neighboring threads read neighboring places, each for its own rows m and its own cells, four by four.
struct GradientOperands {
    static constexpr int ROWS = 4 * THREADS / TILE_K;  // that the block reads at once
    static constexpr int LEFT = LEFT_ROWS / ROWS, RIGHT = TILE_N / ROWS;

    const Correlation& c;
    const Number *dy, *x;
    const int* cells;
    int group, row, m, end_m, e;
    unsigned j, end;
    Place place, step;
    Four<Number> left[LEFT], right[RIGHT];

    __device__ GradientOperands(const Number* dy, const Number* x, const int* cells, const Correlation& c, int group,
                                int first_m, int first_e, unsigned first_place, unsigned end)
        : c(c), dy(dy), x(x), cells(cells), group(group), row(threadIdx.x / TILE_K * 4), m(first_m + row),
          end_m(min(first_m + TILE_M, c.M)), e(first_e + row), j(first_place + threadIdx.x % TILE_K), end(end),
          place(j, c), step(TILE_K, c) {}

    // The next TILE_K places.
    __device__ __forceinline__ void fetch() {
        const bool exists = j < end;
        const int size = c.P * c.Q;
        // dy[n,k,p,q] lies at (n * K + k) * size + p * Q + q, and j = n * size + p * Q + q.
        int at = (place.n * (c.groups * c.M - 1) + group * c.M + m) * size + (int)j;
        #pragma unroll
        for (int i = 0; i < LEFT; ++i, at += ROWS * size)
            #pragma unroll
            for (int down = 0; down < 4; ++down)
                left[i].at[down] = exists & (m + i * ROWS + down < end_m) ? dy[at + down * size] : Number(0);
        const Window window(place, exists, c, group);
        #pragma unroll
        for (int i = 0; i < RIGHT; ++i) right[i] = window.look(x, cells, e + i * ROWS, c);
        place.advance(step, c);
        j += TILE_K;
    }

    __device__ __forceinline__ void put(LeftTile& a, RightTile& b) const {
        const int e = threadIdx.x % TILE_K;
        #pragma unroll
        for (int i = 0; i < LEFT; ++i) store_four(&a[e][swizzled(e, row + i * ROWS)], stored(left[i]));
        #pragma unroll
        for (int i = 0; i < RIGHT; ++i) store_four(&b[e][swizzled(e, row + i * ROWS)], stored(right[i]));
    }
};

// -------------------------------------------------------------------------------------- where the products go

// Row m and column j of the product: channel m at its place in the image that is written. The epilogue: bias, ReLU.
struct ToPlace {
    const Correlation& c;
    Number* out;
    const Number* bias;
    int first_m;
    bool exists;

    __device__ ToPlace(Number* all, const Number* biases, const Correlation& c, int group, int first_m, int j)
        : c(c), bias(biases ? biases + group * c.M : nullptr), first_m(first_m), exists(inside(j, c.places)) {
        const Place place(j, c);
        const int h = place.p * c.out_step_h + c.out_first_h, v = place.q * c.out_step_v + c.out_first_v;
        out = all + (((long long)place.n * c.groups + group) * c.M * c.out_H + h) * c.out_W + v;
    }

    __device__ __forceinline__ void put(int row, Number value) const {
        const int m = first_m + row;
        if (!exists || m >= c.M) return;
        if (bias) value += bias[m];
        if (c.relu && value < 0) value = 0;  // a NaN is not < 0, and stays
        out[(long long)m * c.out_H * c.out_W] = value;
    }
};

// Row m and column e of the product: cell e of filter m.
struct ToCell {
    Number* dw;  // of m = 0
    int M, cells, first_m, e;

    __device__ __forceinline__ void put(int row, Number value) const {
        const int m = first_m + row;
        if (m < M && e < cells) dw[(long long)m * cells + e] = value;
    }
};
