// One step of gradient descent, in place, with momentum and weight decay: both rules of optim/sgd.py in one kernel.
//
// In NumPy, for weights w, gradient g and velocity v:
//
//     d  = g + weight_decay * w
//     v *= momentum;   v += fresh * d                    # if there is a velocity
//     w += by_velocity * v + by_gradient * d
//
//                      fresh            by_velocity       by_gradient
//     SGD              1 - dampening    -lr               0
//     ... nesterov     1                -lr * momentum    -lr
//     ... no momentum  no v             0                 -lr
//     PaperSGD         -lr              1                 0
//
// As array operations this would take up to eight passes over memory; here it takes one. Loads and stores per
// element: 3 loads (w, g, v) and 2 stores (w, v); without velocity, 2 loads and 1 store.
//
// Index map: a grid-stride loop, as in relu.cu. If all arrays start at multiples of 16 bytes, a thread takes 16 bytes
// of each array at a time (4 floats or 2 doubles) in one load, otherwise one element.
// Grid and block: one-dimensional, 256 threads per block. No shared memory.

constexpr int WIDTH = 16 / sizeof(T);
struct __align__(16) Pack { T of[WIDTH]; };

struct Step { T momentum, weight_decay, fresh, by_velocity, by_gradient; };  // filled in by sgd.py, in this order

__device__ __forceinline__ void update(T &w, T g, T *v, const Step &a) {
    const T d = g + a.weight_decay * w;
    T step = a.by_gradient * d;
    if (v) {
        *v = a.momentum * *v + a.fresh * d;
        step += a.by_velocity * *v;
    }
    w += step;
}

extern "C" __global__ void sgd(T *__restrict__ w, const T *__restrict__ g, T *__restrict__ v, unsigned n, int aligned,
                               Step a) {
    const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    const unsigned packs = aligned ? n / WIDTH : 0;
    Pack *ws = (Pack *)w, *vs = (Pack *)v;
    const Pack *gs = (const Pack *)g;
    for (unsigned i = thread; i < packs; i += threads) {
        Pack of_w = ws[i], of_v = v ? vs[i] : Pack();
        const Pack of_g = gs[i];
#pragma unroll
        for (int j = 0; j < WIDTH; ++j) update(of_w.of[j], of_g.of[j], v ? &of_v.of[j] : nullptr, a);
        ws[i] = of_w;
        if (v) vs[i] = of_v;
    }
    for (unsigned i = packs * WIDTH + thread; i < n; i += threads)  // the last few elements, or all of them
        update(w[i], g[i], v ? v + i : nullptr, a);
}
