// ReLU and its gradient: the first kernel to read, since no thread depends on another.
//
// In NumPy:   y = np.maximum(x, 0)        dx = np.where(y > 0, dy, 0)
//
// Index map: thread t takes elements t, t + threads, t + 2 * threads, ... where `threads` counts the whole grid (a
// "grid-stride loop"). So a grid of any size gets through an array of any size. Neighboring threads touch
// neighboring elements, so one trip to memory serves a whole warp (32 threads).
// Grid and block: one-dimensional, 256 threads per block. No shared memory.
//
//     kernel      loads per element    stores
//     forward     1 x                  1 y
//     backward    1 y, 1 dy            1 dx

extern "C" __global__ void relu_forward(const T *__restrict__ x, T *__restrict__ y, int size) {
    const unsigned threads = gridDim.x * blockDim.x;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += threads)
        y[i] = x[i] < 0 ? 0 : x[i];  // a NaN is not < 0, so it stays
}

extern "C" __global__ void relu_backward(const T *__restrict__ y, const T *__restrict__ dy, T *__restrict__ dx,
                                         int size) {
    const unsigned threads = gridDim.x * blockDim.x;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += threads)
        dx[i] = y[i] > 0 ? dy[i] : 0;
}
