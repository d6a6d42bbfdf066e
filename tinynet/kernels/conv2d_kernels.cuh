// The kernels of versions 3 and 4 of convolution. Each block finds out which tile is its own, what its operands are,
// and where its product goes. The file that includes this one defines Sums, which does the arithmetic.

// Forward, and each phase of the input gradient. in: x or dy. filters: packed. table: the taps, see conv2d_maps.cuh.
// Consecutive blocks have the same positions and different rows m, so that they find what they read of `in` in the
// cache.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
conv2d_correlate(const Number* __restrict__ in, const Stored* __restrict__ filters, const int* __restrict__ table,
                 const Number* __restrict__ bias, Number* __restrict__ out, const Correlation c) {
    __shared__ __align__(16) LeftTile a[2];
    __shared__ __align__(16) RightTile b[2];
    __shared__ __align__(16) StagedTile staged;
    const int first_m = blockIdx.x % c.tiles_m * TILE_M, group = blockIdx.x / c.tiles_m % c.groups;
    const int j = blockIdx.x / c.tiles_m / c.groups * TILE_N + threadIdx.x;
    CorrelateOperands operands(in, filters, table, c, group, first_m, j);
    Sums sums;
    multiply(operands, c.padded_taps / TILE_K, sums, a, b);
    write(sums, staged, OutputWriter(out, bias, c, group, first_m, j));
}

// partials[blockIdx.y] = the filter gradient summed over `split_size` positions. dw has few tiles, each a sum over
// many positions, so several blocks split the sum of one tile ("split-K"). taps: of a filter, without padding.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
conv2d_filter_gradient(const Number* __restrict__ dy, const Number* __restrict__ x, const int* __restrict__ table,
                       Number* __restrict__ partials, const Correlation c, const int taps, const int split_size) {
    __shared__ __align__(16) LeftTile a[2];
    __shared__ __align__(16) RightTile b[2];
    __shared__ __align__(16) StagedTile staged;
    const int first_m = blockIdx.x % c.tiles_m * TILE_M, group = blockIdx.x / c.tiles_m % c.groups;
    const int first_e = blockIdx.x / c.tiles_m / c.groups * TILE_N;
    const int first = blockIdx.y * split_size, positions = min(split_size, c.positions - first);
    FilterGradientOperands operands(dy, x, table, c, group, first_m, first_e, first, first + positions);
    Sums sums;
    multiply(operands, (positions + TILE_K - 1) / TILE_K, sums, a, b);
    Number* dw = partials + ((long long)blockIdx.y * c.groups + group) * c.M * taps;
    write(sums, staged, FilterGradientWriter{dw, c.M, taps, first_m, first_e + (int)threadIdx.x});
}

// dw = the sum of the partial sums, always in the same order: no atomics, and two runs give the same bits.
extern "C" __global__ void conv2d_sum_partials(const Number* __restrict__ partials, Number* __restrict__ dw, int size,
                                               int splits) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    Number sum = 0;
    for (int split = 0; split < splits; ++split) sum += partials[(long long)split * size + i];
    dw[i] = sum;
}

// packed[group, e, m] = the weight of tap e in filter m, padded with zeros to whole tiles. A thread packs 8 taps,
// which are mostly neighbors in w: after the first it finds the other 7 in the cache. m_stride: from one m to the
// next in w, in elements.
extern "C" __global__ void conv2d_pack_filters(const Number* __restrict__ w, const int* __restrict__ table,
                                               Stored* __restrict__ packed, const Correlation c, int group_size,
                                               int m_stride) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x, row_length = c.tiles_m * TILE_M;
    const int steps = c.padded_taps / TILE_K;
    const int m = i % row_length, first = i / row_length % steps * TILE_K, group = i / row_length / steps;
    if (group >= c.groups) return;
    for (int e = first; e < first + TILE_K; ++e) {
        const int weight = table[WEIGHT * c.table_length + e];
        const bool exists = weight >= 0 && m < c.M;
        packed[((long long)group * c.padded_taps + e) * row_length + m] =
            stored(exists ? w[group * group_size + weight + m * m_stride] : Number(0));
    }
}
