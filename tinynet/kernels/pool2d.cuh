// What max-pooling and average-pooling share: the windows, which of them cover a pixel, and which thread does what.

struct Pooling {      // filled in by pool2d.py, in this order
    unsigned planes;  // N * C images of one channel, each pooled on its own
    int H, W;         // size of a plane of x
    int P, Q;         // size of a plane of y: the number of windows each way
    int R, S;         // size of a window
    int stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
};

// Along one axis, window p covers the indices  p * stride - padding + r * dilation,  r = 0 ... R - 1.
// So the windows that may cover index h are first_window(h) ... last_window(h), and in window p it is element
// index_in_window(h), which is -1 if h falls between two elements (dilation).

__device__ int first_window(int h, int R, int stride, int padding, int dilation) {
    const int start = h + padding - (R - 1) * dilation;  // of the earliest window, in which h is the last element
    return start <= 0 ? 0 : (start - 1) / stride + 1;  // rounded up
}

__device__ int last_window(int h, int P, int stride, int padding) {
    return min((h + padding) / stride, P - 1);
}

__device__ int index_in_window(int h, int p, int stride, int padding, int dilation) {
    const int offset = h + padding - p * stride;
    if (dilation == 1) return offset;  // nearly always; dividing by a variable takes some 20 instructions
    return offset % dilation ? -1 : offset / dilation;
}

// Grid and block: x runs over the pixels of a plane, y over planes; about 256 threads per block. A thread handles the
// same pixel in several planes, so that it computes what depends on the pixel only once.
__device__ int pixel_of_thread() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ unsigned first_plane() { return blockIdx.y * blockDim.y + threadIdx.y; }
__device__ unsigned plane_step() { return gridDim.y * blockDim.y; }
