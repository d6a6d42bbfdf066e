// What max- and average-pooling share: the windows, which of them hold a cell, and who computes what.

struct Pooling {      // filled in by pool2d.py, in this order
    unsigned planes;  // N * C images of one channel, each pooled by itself
    int H, W;         // size of a plane
    int P, Q;         // places where the windows stop
    int R, S;         // size of a window
    int stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
};

// Along one axis, window p covers the places  p * stride - padding + r * dilation,  r = 0 ... R - 1.
// So the windows that may hold place h are first_window(h) ... last_window(h), and window p has it as its
// cell number_in_window(h), which is -1 if h falls between two cells (dilation).

__device__ int first_window(int h, int R, int stride, int padding, int dilation) {
    const int start = h + padding - (R - 1) * dilation;  // where the earliest window starts, if h is its last cell
    return start <= 0 ? 0 : (start - 1) / stride + 1;  // rounded up
}

__device__ int last_window(int h, int P, int stride, int padding) {
    return min((h + padding) / stride, P - 1);
}

__device__ int number_in_window(int h, int p, int stride, int padding, int dilation) {
    const int offset = h + padding - p * stride;
    if (dilation == 1) return offset;  // nearly always; a division by an unknown number takes some 20 instructions
    return offset % dilation ? -1 : offset / dilation;
}

// A block is  x: places within a plane,  y: planes.  A thread keeps its place and goes through several
// planes, so that what it works out about its place is worked out once.
__device__ int place_of_thread() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ unsigned first_plane() { return blockIdx.y * blockDim.y + threadIdx.y; }
__device__ unsigned plane_step() { return gridDim.y * blockDim.y; }
