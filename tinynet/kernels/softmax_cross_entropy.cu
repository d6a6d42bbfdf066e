// Softmax cross-entropy with class targets: the loss of each sample, and its gradient.
//
// In NumPy, for the logits x (C,) of one sample, its target t, class weights w (C,) and label smoothing s:
//
//     shifted = x - x.max();  p = exp(shifted) / exp(shifted).sum()         # cannot overflow
//     q = (1 - s) * w[t] * one_hot(t) + s / C * w                           # the target as a distribution
//     loss = -(q * log(p)).sum() = (q * (lse - shifted)).sum()              # lse = log(exp(shifted).sum())
//     dx   = dl * (p * q.sum() - q)                                         # dl: dLoss/dloss
//
// and loss = 0, dx = 0 where t is ignore_index.
//
// One block per sample: its threads take the classes in turn, and reduce what they have by warp shuffles and then,
// one number per warp, through shared memory. The order is fixed, so two runs give the same bits.
//
//     kernel      passes over a sample's C logits             stores
//     forward     2: maximum, sum (3 with smoothing)          1 loss
//     backward    3: maximum, sum, dx                         C of dx
//
// (With smoothing, C class weights are loaded too.) All passes but the first find the logits in the cache. The
// backward pass computes p again: exp(x - lse) with a saved lse would carry all of lse's rounding error, 5e-4 for
// logits near 1e4.
//
// Index map: sample i = n * D + d has class c at x[(n * C + c) * D + d]. For D = 1, an image classifier, neighboring
// threads load neighboring logits. For D > 1 these are D apart, and a block uses little of each piece of memory that
// it loads: correct, but not fast.
// Grid: one block per sample. Block: a multiple of 32, up to 256 threads. Shared memory: one number per warp.

constexpr int WARP = 32;

struct Max { __device__ T operator()(T a, T b) const { return max(a, b); } };
struct Plus { __device__ T operator()(T a, T b) const { return a + b; } };

// Reduces one value per thread of the block; all threads get the result. In five steps, each lane of a warp combines
// its value with that of the lane 1, 2, 4, 8, 16 away. Then every lane has the result of all 32.
template <class Combine> __device__ T block_reduce(T value, Combine combine, T neutral, T *per_warp) {
    const int lane = threadIdx.x % WARP;
    for (int away = 1; away < WARP; away *= 2) value = combine(value, __shfl_xor_sync(0xffffffff, value, away));
    if (lane == 0) per_warp[threadIdx.x / WARP] = value;
    __syncthreads();
    value = lane < blockDim.x / WARP ? per_warp[lane] : neutral;  // every warp reduces these, so none has to be told
    for (int away = 1; away < WARP; away *= 2) value = combine(value, __shfl_xor_sync(0xffffffff, value, away));
    __syncthreads();  // no warp may write per_warp for the next reduction while another one still reads it
    return value;
}

// One sample: where its logits are, and the distribution q that its target asks for.
struct Sample {
    int first, C, D;  // class c is at x[first + c * D]
    int target;
    bool kept;  // its target is not ignore_index
    T on_target, smooth;  // q[c] = smooth * w[c], plus on_target if c is the target
    const T *weight;

    __device__ Sample(int C, int D, const long long *targets, const T *weight, long long ignore_index, T smoothing)
        : C(C), D(D), weight(weight) {
        first = blockIdx.x / D * (C * D) + blockIdx.x % D;
        kept = targets[blockIdx.x] != ignore_index;
        target = kept ? targets[blockIdx.x] : 0;
        on_target = kept ? (1 - smoothing) * w(target) : 0;
        smooth = smoothing / C;
    }
    __device__ T w(int c) const { return weight ? weight[c] : 1; }
};

struct Softmax { T maximum, sum; };  // p[c] = exp(x[c] - maximum) / sum

__device__ Softmax softmax(const T *x, Sample at, T *per_warp) {
    const T minus_infinity = -1 / (T)0;  // NVRTC has no name for it
    T maximum = minus_infinity, sum = 0;
    for (int c = threadIdx.x; c < at.C; c += blockDim.x) maximum = max(maximum, x[at.first + c * at.D]);
    maximum = block_reduce(maximum, Max(), minus_infinity, per_warp);
    for (int c = threadIdx.x; c < at.C; c += blockDim.x) sum += exp(x[at.first + c * at.D] - maximum);
    return {maximum, block_reduce(sum, Plus(), (T)0, per_warp)};
}

extern "C" __global__ void softmax_cross_entropy_forward(const T *__restrict__ x, T *__restrict__ losses, int C, int D,
                                                         const long long *__restrict__ targets,
                                                         const T *__restrict__ weight, long long ignore_index,
                                                         T smoothing) {
    __shared__ T per_warp[WARP];
    const Sample at(C, D, targets, weight, ignore_index, smoothing);
    T loss = 0;
    if (at.kept) {  // the same for the whole block, so either all of it reaches the barriers or none
        const Softmax p = softmax(x, at, per_warp);
        const T lse = log(p.sum);
        if (smoothing) {
            for (int c = threadIdx.x; c < C; c += blockDim.x)
                loss += at.smooth * at.w(c) * (lse - (x[at.first + c * D] - p.maximum));
            loss = block_reduce(loss, Plus(), (T)0, per_warp);
        }
        loss += at.on_target * (lse - (x[at.first + at.target * D] - p.maximum));
    }
    if (threadIdx.x == 0) losses[blockIdx.x] = loss;
}

extern "C" __global__ void softmax_cross_entropy_backward(const T *__restrict__ dl, int dl_stride,
                                                          const T *__restrict__ x, T *__restrict__ dx, int C, int D,
                                                          const long long *__restrict__ targets,
                                                          const T *__restrict__ weight, long long ignore_index,
                                                          T smoothing) {
    __shared__ T per_warp[WARP];
    const Sample at(C, D, targets, weight, ignore_index, smoothing);
    if (!at.kept) {
        for (int c = threadIdx.x; c < C; c += blockDim.x) dx[at.first + c * D] = 0;
        return;
    }
    const Softmax p = softmax(x, at, per_warp);
    T sum_of_q = 0;
    if (smoothing) {
        for (int c = threadIdx.x; c < C; c += blockDim.x) sum_of_q += at.smooth * at.w(c);
        sum_of_q = block_reduce(sum_of_q, Plus(), (T)0, per_warp);
    }
    sum_of_q += at.on_target;
    const T slope = dl[blockIdx.x * dl_stride];  // dl_stride is 0 if one number serves all samples
    for (int c = threadIdx.x; c < C; c += blockDim.x) {
        T q = smoothing ? at.smooth * at.w(c) : 0;
        if (c == at.target) q += at.on_target;
        dx[at.first + c * D] = slope * (exp(x[at.first + c * D] - p.maximum) / p.sum * sum_of_q - q);
    }
}
