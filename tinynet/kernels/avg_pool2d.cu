// Average-pooling and its gradient, both written as gathers (max_pool2d.cu says why).
//
// In NumPy, for a plane x (H, W) padded with zeros, and its window (p, q):
//
//     y[p, q] = x[p*stride_h - padding_h :][:R, q*stride_w - padding_w :][:, :S].sum() / count[p, q]
//
// and backward    dx[h, w] = sum of dy[p, q] / count[p, q] over the windows (p, q) that cover (h, w).
//
// count[p, q] = the window's rows that count, times its columns that count. Computing it is cheaper than loading it.
//
//     kernel      thread              loads                                           stores
//     forward     one window          R * S of x, most of them in L1 from neighbors   1 y
//     backward    one element of dx   the dy of each window that covers it            1 dx
//
// Index map, grid and block as in max_pool2d.cu. No shared memory.

#include "pool2d.cuh"

// How many of the indices start ... start + R - 1 of a window count, along one axis of length H. With include_pad
// those in the padding count too, but never those beyond its far end (ceil_mode).
__device__ int counted(int start, int R, int H, int padding, int include_pad) {
    return include_pad ? min(start + R, H + padding) - start : min(start + R, H) - max(start, 0);
}

extern "C" __global__ void avg_pool2d_forward(const T *__restrict__ x, T *__restrict__ y, Pooling a,
                                              int include_pad) {
    const int i = pixel_of_thread();
    if (i >= a.P * a.Q) return;
    const int top = i / a.Q * a.stride_h - a.padding_h;  // element (0, 0) of the window
    const int left = i % a.Q * a.stride_w - a.padding_w;
    const T count =
        counted(top, a.R, a.H, a.padding_h, include_pad) * counted(left, a.S, a.W, a.padding_w, include_pad);
    for (unsigned plane = first_plane(); plane < a.planes; plane += plane_step()) {
        const T *image = x + plane * (a.H * a.W);
        T sum = 0;
        for (int h = max(top, 0); h < min(top + a.R, a.H); ++h)
            for (int w = max(left, 0); w < min(left + a.S, a.W); ++w) sum += image[h * a.W + w];
        y[plane * (a.P * a.Q) + i] = sum / count;
    }
}

extern "C" __global__ void avg_pool2d_backward(const T *__restrict__ dy, T *__restrict__ dx, Pooling a,
                                               int include_pad) {
    const int i = pixel_of_thread();
    if (i >= a.H * a.W) return;
    const int h = i / a.W, w = i % a.W;
    const int first_p = first_window(h, a.R, a.stride_h, a.padding_h, 1);
    const int first_q = first_window(w, a.S, a.stride_w, a.padding_w, 1);
    const int last_p = last_window(h, a.P, a.stride_h, a.padding_h);
    const int last_q = last_window(w, a.Q, a.stride_w, a.padding_w);
    for (unsigned plane = first_plane(); plane < a.planes; plane += plane_step()) {
        T sum = 0;
        for (int p = last_p; p >= first_p; --p) {  // backwards, in the order in which the NumPy path adds
            const int rows = counted(p * a.stride_h - a.padding_h, a.R, a.H, a.padding_h, include_pad);
            for (int q = last_q; q >= first_q; --q) {
                const int columns = counted(q * a.stride_w - a.padding_w, a.S, a.W, a.padding_w, include_pad);
                sum += dy[plane * (a.P * a.Q) + p * a.Q + q] / (T)(rows * columns);
            }
        }
        dx[plane * (a.H * a.W) + i] = sum;
    }
}
