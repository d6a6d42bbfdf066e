// Cross-entropy of softmax, for targets that are classes: the loss of each place, and its gradient.
//
// In NumPy, for the scores x (C,) of one place, its target t, class weights w (C,) and smoothing s:
//
//     shifted = x - x.max();  p = exp(shifted) / exp(shifted).sum()         # nothing overflows
//     q = (1 - s) * w[t] * one_hot(t) + s / C * w                           # the target as a distribution
//     loss = -(q * log(p)).sum() = (q * (lse - shifted)).sum()              # lse = log(exp(shifted).sum())
//     dx   = dl * (p * q.sum() - q)                                         # dl: the cotangent of loss
//
// and loss = 0, dx = 0 where t is ignore_index.
//
// One place a block: its threads take the classes in turn, and join what they have by warp shuffles and
// then, one number a warp, through shared memory. The order is fixed, so two runs give equal bits.
//
//     kernel      loads of a place's C scores               stores
//     forward     2: largest, sum (3 with smoothing)        1 loss
//     backward    3: largest, sum, dx                       C of dx
//
// (and C class weights, if smoothed). All loads but the first find the scores in the cache. p is computed again
// in backward: exp(x - lse) from a saved lse would carry all of lse's rounding error, 5e-4 for scores near 1e4.
//
// Index map: place number i = n * D + d has class c at x[(n * C + c) * D + d]. For D = 1, an image classifier,
// neighboring threads load neighboring scores; for D > 1 they are D apart, and a block uses little of each
// piece of memory that it loads: right, but not fast.
// Grid: one block a place. Block: a multiple of 32 up to 256 threads. Shared memory: a number for each warp.

constexpr int WARP = 32;

struct Larger { __device__ T operator()(T a, T b) const { return max(a, b); } };
struct Plus { __device__ T operator()(T a, T b) const { return a + b; } };

// Join one value of each thread of the block; all threads get the result. In five steps each lane of a warp
// takes over what the lane 1, 2, 4, 8, 16 away has gathered: then every lane has all 32.
template <class Join> __device__ T over_block(T value, Join join, T nothing, T *of_warp) {
    const int lane = threadIdx.x % WARP;
    for (int away = 1; away < WARP; away *= 2) value = join(value, __shfl_xor_sync(0xffffffff, value, away));
    if (lane == 0) of_warp[threadIdx.x / WARP] = value;
    __syncthreads();
    value = lane < blockDim.x / WARP ? of_warp[lane] : nothing;  // each warp for itself: nobody has to be told
    for (int away = 1; away < WARP; away *= 2) value = join(value, __shfl_xor_sync(0xffffffff, value, away));
    __syncthreads();  // nobody may write of_warp for the next sum while another warp still reads it
    return value;
}

// One place: where its scores are, and what its target asks for.
struct Place {
    int first, C, D;  // class c is at x[first + c * D]
    int target;
    bool kept;
    T right, smooth;  // q[c] = smooth * w[c], plus `right` if c is the target
    const T *weight;

    __device__ Place(int C, int D, const long long *targets, const T *weight, long long ignore_index, T smoothing)
        : C(C), D(D), weight(weight) {
        first = blockIdx.x / D * (C * D) + blockIdx.x % D;
        kept = targets[blockIdx.x] != ignore_index;
        target = kept ? targets[blockIdx.x] : 0;
        right = kept ? (1 - smoothing) * w(target) : 0;
        smooth = smoothing / C;
    }
    __device__ T w(int c) const { return weight ? weight[c] : 1; }
};

struct Softmax { T largest, sum; };  // p[c] = exp(x[c] - largest) / sum

__device__ Softmax softmax(const T *x, Place at, T *of_warp) {
    const T minus_infinity = -1 / (T)0;  // NVRTC has no name for it
    T largest = minus_infinity, sum = 0;
    for (int c = threadIdx.x; c < at.C; c += blockDim.x) largest = max(largest, x[at.first + c * at.D]);
    largest = over_block(largest, Larger(), minus_infinity, of_warp);
    for (int c = threadIdx.x; c < at.C; c += blockDim.x) sum += exp(x[at.first + c * at.D] - largest);
    return {largest, over_block(sum, Plus(), (T)0, of_warp)};
}

extern "C" __global__ void softmax_cross_entropy_forward(const T *__restrict__ x, T *__restrict__ losses, int C, int D,
                                                         const long long *__restrict__ targets,
                                                         const T *__restrict__ weight, long long ignore_index,
                                                         T smoothing) {
    __shared__ T of_warp[WARP];
    const Place at(C, D, targets, weight, ignore_index, smoothing);
    T loss = 0;
    if (at.kept) {  // true or false for the whole block: all of it meets at the barriers, or nobody
        const Softmax p = softmax(x, at, of_warp);
        const T lse = log(p.sum);
        if (smoothing) {
            for (int c = threadIdx.x; c < C; c += blockDim.x)
                loss += at.smooth * at.w(c) * (lse - (x[at.first + c * D] - p.largest));
            loss = over_block(loss, Plus(), (T)0, of_warp);
        }
        loss += at.right * (lse - (x[at.first + at.target * D] - p.largest));
    }
    if (threadIdx.x == 0) losses[blockIdx.x] = loss;
}

extern "C" __global__ void softmax_cross_entropy_backward(const T *__restrict__ dl, int dl_step, const T *__restrict__ x,
                                                          T *__restrict__ dx, int C, int D,
                                                          const long long *__restrict__ targets,
                                                          const T *__restrict__ weight, long long ignore_index,
                                                          T smoothing) {
    __shared__ T of_warp[WARP];
    const Place at(C, D, targets, weight, ignore_index, smoothing);
    if (!at.kept) {
        for (int c = threadIdx.x; c < C; c += blockDim.x) dx[at.first + c * D] = 0;
        return;
    }
    const Softmax p = softmax(x, at, of_warp);
    T sum_of_q = 0;
    if (smoothing) {
        for (int c = threadIdx.x; c < C; c += blockDim.x) sum_of_q += at.smooth * at.w(c);
        sum_of_q = over_block(sum_of_q, Plus(), (T)0, of_warp);
    }
    sum_of_q += at.right;
    const T slope = dl[blockIdx.x * dl_step];  // dl_step is 0 if all places have the same
    for (int c = threadIdx.x; c < C; c += blockDim.x) {
        T q = smoothing ? at.smooth * at.w(c) : 0;
        if (c == at.target) q += at.right;
        dx[at.first + c * D] = slope * (exp(x[at.first + c * D] - p.largest) / p.sum * sum_of_q - q);
    }
}
