// What versions 1 and 2 of convolution are told: sizes, and how the filter moves. Pairs are (height, width).
#pragma once

struct LaunchShape {  // filled in by conv2d.py, in this order
    int N, C, H, W, K, R, S, P, Q;
    int stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
    int groups;
    int relu;  // 1: clamp y at 0
};

// The row of x that row r of the filter reads for row p of y. It may lie outside the image.
__device__ __forceinline__ int input_row(const LaunchShape& g, int p, int r) {
    return p * g.stride_h + r * g.dilation_h - g.padding_h;
}
__device__ __forceinline__ int input_column(const LaunchShape& g, int q, int s) {
    return q * g.stride_w + s * g.dilation_w - g.padding_w;
}

// The inverse: the row of y for which row r of the filter reads row h of x, or -1 if there is none.
__device__ __forceinline__ int output_row(const LaunchShape& g, int h, int r) {
    const int from = h + g.padding_h - r * g.dilation_h;
    return from >= 0 && from % g.stride_h == 0 && from / g.stride_h < g.P ? from / g.stride_h : -1;
}
__device__ __forceinline__ int output_column(const LaunchShape& g, int v, int s) {
    const int from = v + g.padding_w - s * g.dilation_w;
    return from >= 0 && from % g.stride_w == 0 && from / g.stride_w < g.Q ? from / g.stride_w : -1;
}

__device__ __forceinline__ bool inside(int i, int size) { return 0 <= i && i < size; }
