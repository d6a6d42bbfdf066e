// Local response normalization across channels and its gradient: one pass over memory each way.
//
// In NumPy, for the channels x (C/G,) of one group at one place, and with W[i] the channels j that have
// |j - i| <= HALF (-DSIZE=5: HALF is 2, and 5 channels are in a window, fewer at the ends of the group):
//
//     s[i]  = k + a * (x[W[i]]**2).sum()                                 # a = alpha / size
//     y[i]  = x[i] * s[i]**-beta
//
//     d     = dy * s**-beta                                              # the direct road to dx
//     t     = d * x / s                                                  # dy * x * s**(-beta - 1), the other one
//     dx[i] = d[i] - b * x[i] * t[W[i]].sum()                            # b = 2 * a * beta
//
// A thread stands at one place (n, h, w) and walks along a run of the channels with the window in registers.
// A step loads the channel that enters the window, moves the others on by one, and adds the window up afresh.
// (To add what enters and subtract what leaves would take fewer additions, but what rounding does to a large
// x would stay in the sum long after the x has left.) The gradient needs t up to HALF channels ahead of dx,
// and t needs x up to HALF ahead of itself: it keeps a window of x, one of t, and the d in between.
//
//       channel         i-HALF        i        j=i+HALF      j+HALF
//       window of x                   [------------j------------]      what just came in:  x[j+HALF], dy[j]
//       window of t        [----------i------------]                   what goes out:      dx[i]
//       the d in between              [------------]
//
// Few places (the second layer's 27 x 27) would leave a large GPU idle, so the channels of a group are cut
// into runs of `length`, each walked by a thread of its own, which also has to load a little of its neighbors.
//
//     kernel      thread                loads                                       stores
//     forward     a run of L channels   L + 2 * HALF of x                           L of y
//     backward    a run of L channels   L + 4 * HALF of x, L + 2 * HALF of dy       L of dx
//
// Beyond the ends of the group there is nothing to load: if it is one run, that is each x (and dy) once.
// Index map: thread -> (run, n, h * W + w), so that neighboring threads load neighboring addresses.
// Grid and block: one-dimensional, 256 threads a block. No shared memory.

constexpr int HALF = SIZE / 2;
constexpr int UNROLL = SIZE < 64 ? SIZE : 1;  // a small window lives in registers, a huge one in (slow) local memory

struct Powers { T minus_beta, minus_one; };  // s^-beta and s^-1

__device__ __forceinline__ Powers powers(T s, T beta) {
#ifdef THREE_QUARTERS  // beta = 3/4: no power, no division, and no branch that keeps the loads of steps apart
    const T root = rsqrt(s);  // s^(-1/2), so rsqrt(root) is s^(1/4), and root * root is s^-1
    return {root * root * rsqrt(root), root * root};
#else
    return {pow(s, -beta), 1 / s};
#endif
}

struct Walk {      // filled in by local_response_norm.py, in this order
    int N, C, HW;  // of x; HW = H * W is also the way from one channel to the next
    int group;     // channels of a group
    int runs;      // runs that a group is cut into
    int length;    // channels of a run; the last may have fewer
};

// Where a thread walks: its channels are first ... end - 1, of the group group_first ... group_end - 1.
struct Path {
    int place;  // of channel 0 in x
    int group_first, group_end, first, end, HW;
    bool exists;

    __device__ explicit Path(const Walk &a) : HW(a.HW) {
        const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
        const int run = thread / HW / a.N, image = thread / HW % a.N;  // runs are counted over all groups
        place = image * (a.C * HW) + thread % HW;
        group_first = run / a.runs * a.group;
        group_end = group_first + a.group;
        first = group_first + run % a.runs * a.length;
        end = min(first + a.length, group_end);
        exists = group_first < a.C;  // the last block may reach beyond the last run
    }
    __device__ __forceinline__ bool in_group(int c) const { return c >= group_first && c < group_end; }
    __device__ __forceinline__ T at(const T *a, int c) const { return in_group(c) ? a[place + c * HW] : 0; }
};

// Move a window on by one: what entered first leaves, `next` enters. In an unrolled loop every element of the
// window has a register of its own.
template <int LENGTH> __device__ __forceinline__ void enter(T (&window)[LENGTH], T next) {
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
    for (int c = path.first - HALF; c < path.first + HALF; ++c) enter(xs, path.at(x, c));
#pragma unroll 4
    for (int i = path.first; i < path.end; ++i) {
        enter(xs, path.at(x, i + HALF));  // now xs is x[i - HALF ... i + HALF]
        y[path.place + i * path.HW] = xs[HALF] * powers(k + a * sum_of_squares(xs), beta).minus_beta;
    }
}

extern "C" __global__ void __launch_bounds__(256)
local_response_norm_backward(const T *__restrict__ dy, const T *__restrict__ x, T *__restrict__ dx, Walk walk, T a,
                             T beta, T k, T b) {
    const Path path(walk);
    if (!path.exists) return;
    T xs[SIZE] = {}, ts[SIZE] = {}, ds[HALF + 1] = {};
    for (int c = path.first - 2 * HALF; c < path.first; ++c) enter(xs, path.at(x, c));
#pragma unroll 4
    for (int j = path.first - HALF; j < path.end + HALF; ++j) {
        enter(xs, path.at(x, j + HALF));  // now xs is x[j - HALF ... j + HALF]
        const Powers s = powers(k + a * sum_of_squares(xs), beta);
        const T d = path.at(dy, j) * s.minus_beta;
        enter(ds, d);  // d[i ... j]
        enter(ts, path.in_group(j) ? d * xs[HALF] * s.minus_one : 0);  // t[i - HALF ... j]
        const int i = j - HALF;
        if (i >= path.first) dx[path.place + i * path.HW] = ds[0] - b * xs[0] * sum(ts);
    }
}
