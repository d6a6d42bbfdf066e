// ReLU and its gradient: the first kernel to read, since every thread works for itself.
//
// In NumPy:   y = numpy.maximum(x, 0)        dx = numpy.where(y > 0, dy, 0)
//
// Index map: element i belongs to thread i, and then to thread i - (all threads), so that a grid of any size
// gets through an array of any size. Neighboring threads touch neighboring elements: one trip to memory
// serves a whole warp (32 threads). Block: 256 threads.
//
//     kernel      loads per element    stores
//     forward     1 x                  1 y
//     backward    1 y, 1 dy            1 dx

extern "C" __global__ void relu_forward(const T *__restrict__ x, T *__restrict__ y, int size) {
    const unsigned threads = gridDim.x * blockDim.x;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += threads)
        y[i] = x[i] < 0 ? 0 : x[i];  // a NaN is not < 0, and stays
}

extern "C" __global__ void relu_backward(const T *__restrict__ y, const T *__restrict__ dy, T *__restrict__ dx, int size) {
    const unsigned threads = gridDim.x * blockDim.x;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += threads)
        dx[i] = y[i] > 0 ? dy[i] : 0;
}
