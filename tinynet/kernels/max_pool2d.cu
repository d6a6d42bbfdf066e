// Max-pooling and its gradient, both written as gathers.
//
// In NumPy, for a plane x (H, W) padded with -inf, and its window (p, q):
//
//     window = x[p*stride_h - padding_h :: dilation_h, q*stride_w - padding_w :: dilation_w][:R, :S]
//     y[p, q], winner[p, q] = window.max(), window.argmax()          # argmax: the first of equals
//
// but the padding never wins: of a window that holds only -inf, the first element inside the plane does. Backward,
//
//     dx[h, w] = sum of dy[p, q] over the windows (p, q) whose winner lies at (h, w).
//
// A gather: one thread computes each element of the result, and reads whatever it needs for it. In a scatter, where
// each window adds its dy to its winner's dx, several windows would add to one element at the same time. That takes
// atomics, whose order, and so the last digits of the sum, changes from run to run.
//
//     kernel      thread              loads                                           stores
//     forward     one window          R * S of x, most of them in L1 from neighbors   1 y, 1 winner
//     backward    one element of dx   the winner of each window that covers it, and   1 dx
//                                     the dy of those that chose it
//
// With AlexNet's 3 x 3 windows and stride 2, a pixel is covered by 1, 2 or 4 windows, 2.25 on average.
// Index map: thread i of a plane takes (i / Q, i % Q) forward and (i / W, i % W) backward, so that neighboring
// threads store to neighboring addresses. Grid and block: see pool2d.cuh. No shared memory.

#include "pool2d.cuh"

#ifndef WINNER
#define WINNER unsigned char  // the index r * S + s in the window; int if windows have more than 256 elements
#endif

extern "C" __global__ void max_pool2d_forward(const T *__restrict__ x, T *__restrict__ y, WINNER *__restrict__ winner,
                                              Pooling a) {
    const int i = pixel_of_thread();
    if (i >= a.P * a.Q) return;
    const int top = i / a.Q * a.stride_h - a.padding_h;  // element (0, 0) of the window
    const int left = i % a.Q * a.stride_w - a.padding_w;
    for (unsigned plane = first_plane(); plane < a.planes; plane += plane_step()) {
        const T *image = x + plane * (a.H * a.W);
        T best = -1 / (T)0;  // minus infinity: NVRTC has no name for it
        int index = -1;
        for (int r = 0; r < a.R; ++r) {
            const int h = top + r * a.dilation_h;
            if (h < 0 || h >= a.H) continue;  // padding
            for (int s = 0; s < a.S; ++s) {
                const int w = left + s * a.dilation_w;
                if (w < 0 || w >= a.W) continue;
                const T value = image[h * a.W + w];
                // The first inside the plane, even if it is -inf; later ones if they are larger (> keeps the first of
                // equals) or NaN (only a NaN differs from itself).
                if (index < 0 || value > best || value != value) {
                    best = value;
                    index = r * a.S + s;
                }
            }
        }
        y[plane * (a.P * a.Q) + i] = best;
        if (winner) winner[plane * (a.P * a.Q) + i] = index;
    }
}

extern "C" __global__ void max_pool2d_backward(const T *__restrict__ dy, const WINNER *__restrict__ winner,
                                               T *__restrict__ dx, Pooling a) {
    const int i = pixel_of_thread();
    if (i >= a.H * a.W) return;
    const int h = i / a.W, w = i % a.W;
    const int first_p = first_window(h, a.R, a.stride_h, a.padding_h, a.dilation_h);
    const int first_q = first_window(w, a.S, a.stride_w, a.padding_w, a.dilation_w);
    const int last_p = last_window(h, a.P, a.stride_h, a.padding_h);
    const int last_q = last_window(w, a.Q, a.stride_w, a.padding_w);
    for (unsigned plane = first_plane(); plane < a.planes; plane += plane_step()) {
        T sum = 0;
        for (int p = first_p; p <= last_p; ++p) {  // in the order in which the NumPy path adds
            const int r = index_in_window(h, p, a.stride_h, a.padding_h, a.dilation_h);
            if (r < 0) continue;
            for (int q = first_q; q <= last_q; ++q) {
                const int s = index_in_window(w, q, a.stride_w, a.padding_w, a.dilation_w);
                const int window = plane * (a.P * a.Q) + p * a.Q + q;
                if (s >= 0 && winner[window] == r * a.S + s) sum += dy[window];
            }
        }
        dx[plane * (a.H * a.W) + i] = sum;
    }
}
