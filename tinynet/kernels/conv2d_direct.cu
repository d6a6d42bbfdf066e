// Convolution, version 1: one thread per output, and the formula as loops.
//
// In NumPy, with xp = x padded with zeros, for one group and dilation 1:
//
//     forward          y[n,k,p,q] = b[k] + (w[k] * xp[n, :, p*stride : p*stride + R, q*stride : q*stride + S]).sum()
//     input gradient   dx[n,c,h,v] = the sum of w[k,c,r,s] * dy[n,k,p,q] over all k and all (r,s,p,q) with
//                      p*stride + r - padding == h and q*stride + s - padding == v
//     filter gradient  dw[k,c,r,s] = (dy[:,k] * xp[:, c, r : r + P*stride : stride, s : s + Q*stride : stride]).sum()
//
// Index map: thread i owns element i of the output, in memory order.
// Grid and block: one-dimensional, 256 threads per block. No shared memory.
//
//     kernel             loads per thread                stores    multiply-adds
//     forward            2 * C/G * R * S                 1         C/G * R * S
//     input gradient     2 * K/G * R * S / stride^2      1         K/G * R * S / stride^2
//     filter gradient    2 * N * P * Q                   1         N * P * Q
//
// So every multiply-add waits for two loads of its own. Version 2 cures that.

#include "conv2d.cuh"

extern "C" __global__ void conv2d_forward_v1(const T* __restrict__ x, const T* __restrict__ w,
                                             const T* __restrict__ bias, T* __restrict__ y, const LaunchShape g) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (unsigned)g.N * g.K * g.P * g.Q) return;
    const int q = i % g.Q, p = i / g.Q % g.P, k = i / g.Q / g.P % g.K, n = i / g.Q / g.P / g.K;
    const int channels = g.C / g.groups, first_c = k / (g.K / g.groups) * channels;
    T sum = 0;
    for (int c = 0; c < channels; ++c)
        for (int r = 0; r < g.R; ++r)
            for (int s = 0; s < g.S; ++s) {
                const int h = input_row(g, p, r), v = input_column(g, q, s);
                if (inside(h, g.H) && inside(v, g.W))
                    sum += w[((k * channels + c) * g.R + r) * g.S + s] *
                           x[((n * g.C + first_c + c) * g.H + h) * g.W + v];
            }
    if (bias) sum += bias[k];
    y[i] = g.relu && sum < 0 ? 0 : sum;  // a NaN is not < 0, so it stays
}

// A gather, not a scatter: each pixel collects from the outputs that read it. In a scatter, several outputs would add
// to the same pixel at the same time, and the order of the sum, and so its last bits, would change from run to run.
extern "C" __global__ void conv2d_input_gradient_v1(const T* __restrict__ dy, const T* __restrict__ w,
                                                    T* __restrict__ dx, const LaunchShape g) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (unsigned)g.N * g.C * g.H * g.W) return;
    const int v = i % g.W, h = i / g.W % g.H, c = i / g.W / g.H % g.C, n = i / g.W / g.H / g.C;
    const int channels = g.C / g.groups, filters = g.K / g.groups, first_k = c / channels * filters;
    T sum = 0;
    for (int k = first_k; k < first_k + filters; ++k)
        for (int r = 0; r < g.R; ++r)
            for (int s = 0; s < g.S; ++s) {
                const int p = output_row(g, h, r), q = output_column(g, v, s);
                if (p >= 0 && q >= 0)
                    sum += w[((k * channels + c % channels) * g.R + r) * g.S + s] *
                           dy[((n * g.K + k) * g.P + p) * g.Q + q];
            }
    dx[i] = sum;
}

extern "C" __global__ void conv2d_filter_gradient_v1(const T* __restrict__ dy, const T* __restrict__ x,
                                                     T* __restrict__ dw, const LaunchShape g) {
    const int channels = g.C / g.groups;
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (unsigned)g.K * channels * g.R * g.S) return;
    const int s = i % g.S, r = i / g.S % g.R, k = i / g.S / g.R / channels;
    const int c = k / (g.K / g.groups) * channels + i / g.S / g.R % channels;
    T sum = 0;
    for (int n = 0; n < g.N; ++n)
        for (int p = 0; p < g.P; ++p)
            for (int q = 0; q < g.Q; ++q) {
                const int h = input_row(g, p, r), v = input_column(g, q, s);
                if (inside(h, g.H) && inside(v, g.W))
                    sum += dy[((n * g.K + k) * g.P + p) * g.Q + q] * x[((n * g.C + c) * g.H + h) * g.W + v];
            }
    dw[i] = sum;
}
