// The kernels of versions 3 and 4 of convolution: which tile is this block's, what are its operands, and where does
// its product go? The file that includes this one has Sums, which does the arithmetic.

// Forward, and each phase of the input gradient. in: x or dy. filters: laid out. cells: the table in conv2d_maps.cuh.
// Blocks that follow each other have the same places and other rows m: what they read of `in` is in the cache.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
conv2d_correlate(const Number* __restrict__ in, const Stored* __restrict__ filters, const int* __restrict__ cells,
                 const Number* __restrict__ bias, Number* __restrict__ out, const Correlation c) {
    __shared__ __align__(16) LeftTile a[2];
    __shared__ __align__(16) RightTile b[2];
    __shared__ __align__(16) StagedTile staged;
    const int first_m = blockIdx.x % c.tiles_m * TILE_M, group = blockIdx.x / c.tiles_m % c.groups;
    const int j = blockIdx.x / c.tiles_m / c.groups * TILE_N + threadIdx.x;
    CorrelateOperands operands(in, filters, cells, c, group, first_m, j);
    Sums sums;
    multiply(operands, c.cells / TILE_K, sums, a, b);
    write(sums, staged, ToPlace(out, bias, c, group, first_m, j));
}

// parts[blockIdx.y] = the filter gradient of `share` places. There are few tiles of dw and many places, so several
// blocks share the sum of one tile ("split-K"). cells: how many a filter really has.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
conv2d_filter_gradient(const Number* __restrict__ dy, const Number* __restrict__ x, const int* __restrict__ table,
                       Number* __restrict__ parts, const Correlation c, const int cells, const int share) {
    __shared__ __align__(16) LeftTile a[2];
    __shared__ __align__(16) RightTile b[2];
    __shared__ __align__(16) StagedTile staged;
    const int first_m = blockIdx.x % c.tiles_m * TILE_M, group = blockIdx.x / c.tiles_m % c.groups;
    const int first_e = blockIdx.x / c.tiles_m / c.groups * TILE_N;
    const int first = blockIdx.y * share, places = min(share, c.places - first);
    GradientOperands operands(dy, x, table, c, group, first_m, first_e, first, first + places);
    Sums sums;
    multiply(operands, (places + TILE_K - 1) / TILE_K, sums, a, b);
    Number* dw = parts + ((long long)blockIdx.y * c.groups + group) * c.M * cells;
    write(sums, staged, ToCell{dw, c.M, cells, first_m, first_e + (int)threadIdx.x});
}

// dw = the sum of the parts, always in the same order: no atomics, and two runs give the same bits.
extern "C" __global__ void conv2d_sum_parts(const Number* __restrict__ parts, Number* __restrict__ dw, int size,
                                            int count) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    Number sum = 0;
    for (int part = 0; part < count; ++part) sum += parts[(long long)part * size + i];
    dw[i] = sum;
}

// laid_out[group, e, m] = the weight of cell e in the filter of m, and zeros up to whole tiles. A thread walks along
// 8 cells, mostly neighbors in w: it finds the other 7 in the cache. From one m to the next it is m_step in w.
extern "C" __global__ void conv2d_lay_out_filters(const Number* __restrict__ w, const int* __restrict__ cells,
                                                  Stored* __restrict__ laid_out, const Correlation c, int group_size,
                                                  int m_step) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x, length = c.tiles_m * TILE_M;
    const int m = i % length, first = i / length % (c.cells / TILE_K) * TILE_K, group = i / length / (c.cells / TILE_K);
    if (group >= c.groups) return;
    for (int e = first; e < first + TILE_K; ++e) {
        const int weight = cells[WEIGHT * c.length + e];
        const bool exists = weight >= 0 && m < c.M;
        laid_out[((long long)group * c.cells + e) * length + m] =
            stored(exists ? w[group * group_size + weight + m * m_step] : Number(0));
    }
}
