// Local response normalization across channels, and its gradient: one pass over memory in each direction.
//
// In NumPy, for the channels x (C/G,) of one group at one pixel, where W[i] are the channels j of the group with
// |j - i| <= HALF (-DSIZE=5 makes HALF 2, and a window has 5 channels, fewer at the ends of the group):
//
//     s[i]  = k + a * (x[W[i]]**2).sum()                                 # a = alpha / size
//     y[i]  = x[i] * s[i]**-beta
//
//     d     = dy * s**-beta                                              # the direct path to dx
//     t     = d * x / s                                                  # dy * x * s**(-beta - 1), the other path
//     dx[i] = d[i] - b * x[i] * t[W[i]].sum()                            # b = 2 * a * beta
//
// A thread stays at one pixel (n, h, w) and walks along a run of channels with the window in registers. Each step
// loads the channel that enters the window, shifts the others by one, and sums the window afresh. (A running sum,
// which adds what enters and subtracts what leaves, would take fewer additions, but the rounding error of a large x
// would stay in the sum long after x has left.) The gradient needs t up to HALF channels ahead of dx, and t needs x
// up to HALF channels ahead of itself. So that kernel keeps a window of x, a window of t, and the d in between.
//
//       channel         i-HALF        i        j=i+HALF      j+HALF
//       window of x                   [------------j------------]      loaded last:  x[j+HALF], dy[j]
//       window of t        [----------i------------]                   stored next:  dx[i]
//       the d in between              [------------]
//
// One thread per pixel would leave a large GPU idle (the second layer has only 27 x 27 pixels). So the channels of a
// group are divided into runs of `length`, one thread per run, which also loads a few channels of the neighboring runs.
//
//     kernel      thread                loads                                       stores
//     forward     a run of L channels   L + 2 * HALF of x                           L of y
//     backward    a run of L channels   L + 4 * HALF of x, L + 2 * HALF of dy       L of dx
//
// Nothing is loaded beyond the ends of the group: if the group is a single run, each x (and dy) is loaded once.
// Index map: thread -> (run, n, h * W + w), so that neighboring threads load neighboring addresses.
// Grid and block: one-dimensional, 256 threads per block. No shared memory.

constexpr int HALF = SIZE / 2;
constexpr int UNROLL = SIZE < 64 ? SIZE : 1;  // small windows fit in registers, huge ones go to (slow) local memory

struct Powers { T minus_beta, minus_one; };  // s^-beta and s^-1

__device__ __forceinline__ Powers powers(T s, T beta) {
#ifdef THREE_QUARTERS  // beta = 3/4: no pow, no division, and no branch that would keep the steps' loads apart
    const T root = rsqrt(s);  // s^(-1/2); so rsqrt(root) is s^(1/4), and root * root is s^-1
    return {root * root * rsqrt(root), root * root};
#else
    return {pow(s, -beta), 1 / s};
#endif
}

struct Walk {      // filled in by local_response_norm.py, in this order
    int N, C, HW;  // of x; HW = H * W is also the stride from one channel to the next
    int group;     // channels per group
    int runs;      // runs per group
    int length;    // channels per run; the last run may have fewer
};

// The channels that a thread walks along: first ... end - 1, in the group group_first ... group_end - 1.
struct Path {
    int pixel;  // index of its channel 0 in x
    int group_first, group_end, first, end, HW;
    bool exists;

    __device__ explicit Path(const Walk &a) : HW(a.HW) {
        const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
        const int run = thread / HW / a.N, image = thread / HW % a.N;  // runs are counted across all groups
        pixel = image * (a.C * HW) + thread % HW;
        group_first = run / a.runs * a.group;
        group_end = group_first + a.group;
        first = group_first + run % a.runs * a.length;
        end = min(first + a.length, group_end);
        exists = group_first < a.C;  // the last block may have threads beyond the last run
    }
    __device__ __forceinline__ bool in_group(int c) const { return c >= group_first && c < group_end; }
    __device__ __forceinline__ T at(const T *a, int c) const { return in_group(c) ? a[pixel + c * HW] : 0; }
};

// Shifts a window by one: the oldest element leaves, `next` enters. In an unrolled loop, each element of the window
// has a register of its own.
template <int LENGTH> __device__ __forceinline__ void shift_in(T (&window)[LENGTH], T next) {
#pragma unroll UNROLL
    for (int j = 1; j < LENGTH; ++j) window[j - 1] = window[j];
    window[LENGTH - 1] = next;
}

__device__ __forceinline__ T sum(const T (&window)[SIZE]) {
    T total = 0;
#pragma unroll UNROLL
    for (int j = 0; j < SIZE; ++j) total += window[j];
    return total;
}

__device__ __forceinline__ T sum_of_squares(const T (&window)[SIZE]) {
    T total = 0;
#pragma unroll UNROLL
    for (int j = 0; j < SIZE; ++j) total += window[j] * window[j];
    return total;
}

extern "C" __global__ void __launch_bounds__(256)
local_response_norm_forward(const T *__restrict__ x, T *__restrict__ y, Walk walk, T a, T beta, T k) {
    const Path path(walk);
    if (!path.exists) return;
    T xs[SIZE] = {};
    for (int c = path.first - HALF; c < path.first + HALF; ++c) shift_in(xs, path.at(x, c));
#pragma unroll 4
    for (int i = path.first; i < path.end; ++i) {
        shift_in(xs, path.at(x, i + HALF));  // now xs is x[i - HALF ... i + HALF]
        y[path.pixel + i * path.HW] = xs[HALF] * powers(k + a * sum_of_squares(xs), beta).minus_beta;
    }
}

extern "C" __global__ void __launch_bounds__(256)
local_response_norm_backward(const T *__restrict__ dy, const T *__restrict__ x, T *__restrict__ dx, Walk walk, T a,
                             T beta, T k, T b) {
    const Path path(walk);
    if (!path.exists) return;
    T xs[SIZE] = {}, ts[SIZE] = {}, ds[HALF + 1] = {};
    for (int c = path.first - 2 * HALF; c < path.first; ++c) shift_in(xs, path.at(x, c));
#pragma unroll 4
    for (int j = path.first - HALF; j < path.end + HALF; ++j) {
        shift_in(xs, path.at(x, j + HALF));  // now xs is x[j - HALF ... j + HALF]
        const Powers s = powers(k + a * sum_of_squares(xs), beta);
        const T d = path.at(dy, j) * s.minus_beta;
        shift_in(ds, d);  // d[i ... j]
        shift_in(ts, path.in_group(j) ? d * xs[HALF] * s.minus_one : 0);  // t[i - HALF ... j]
        const int i = j - HALF;
        if (i >= path.first) dx[path.pixel + i * path.HW] = ds[0] - b * xs[0] * sum(ts);
    }
}
