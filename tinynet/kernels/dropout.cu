// Dropout without a stored mask: each uniform is computed from its index, in the forward and the backward pass alike.
//
// In NumPy, where x may be some columns of a whole activation with rows of whole_row_length:
//
//     uniforms = np.random.Generator(np.random.Philox(key=key)).random(rows * whole_row_length, dtype="float32")
//     uniforms = uniforms.reshape(rows, whole_row_length)[:, first_column : first_column + row_length]
//     y = np.where(uniforms >= p, x * scale, 0)                                   # scale = 1 / (1 - p)
//
// Philox4x64-10 (Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3") passes no state from one number
// to the next: it scrambles a counter. Ten rounds, each of two wide products whose halves are permuted and xor-ed
// with a key, turn counter and key into four words of 64 bits. NumPy starts at counter 1 and makes two uniforms of
// each word, the low half first: uniform = (half >> 8) * 2^-24.
//
// So counter j + 1 holds uniforms 8 * j ... 8 * j + 7. Each thread handles one counter in one row of x: the elements
// of that row whose uniforms the counter holds. Where a row ends and the next one starts within a counter, two
// threads compute that counter, each for its own row.
//
// Index map: thread -> (row, j-th counter of that row).
// Loads and stores per thread: up to 8 neighboring elements of x, and of y.
// Grid and block: one-dimensional, 256 threads per block. No shared memory.

typedef unsigned long long Word;

struct Words { Word w[4]; };

// a * b = high * 2^64 + low; the low word is what `a * b` gives in C.
__device__ Words philox_round(Words c, Word key0, Word key1) {
    const Word a = 0xD2E7470EE14C6C93, b = 0xCA5A826395121157;
    return {{__umul64hi(b, c.w[2]) ^ c.w[1] ^ key0, b * c.w[2], __umul64hi(a, c.w[0]) ^ c.w[3] ^ key1, a * c.w[0]}};
}

__device__ Words philox(Word counter, Word key) {
    Words c = {{counter, 0, 0, 0}};  // 256 bits; 64 of them are more than enough
    Word key0 = key, key1 = 0;
    for (int round = 0; round < 10; ++round) {
        c = philox_round(c, key0, key1);
        key0 += 0x9E3779B97F4A7C15;  // the golden ratio, and sqrt(3) - 1 below: each round has its own key
        key1 += 0xBB67AE8584CAA73B;
    }
    return c;
}

extern "C" __global__ void dropout(const T *__restrict__ x, T *__restrict__ y, int rows, int row_length,
                                   int counters_per_row, Word whole_row_length, Word first_column, float p, T scale,
                                   Word key) {
    const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = thread / counters_per_row;
    if (row >= rows) return;
    const Word first_uniform = row * whole_row_length + first_column;  // of this row of x
    const Word counter = first_uniform / 8 + thread % counters_per_row;
    const Words words = philox(counter + 1, key);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        const long long column = (long long)(counter * 8 + i - first_uniform);  // negative before the row starts
        if (column < 0 || column >= row_length) continue;
        const unsigned half = (unsigned)(words.w[i / 2] >> 32 * (i % 2));
        const float uniform = (half >> 8) * (1.0f / (1 << 24));
        const int here = row * row_length + (int)column;
        y[here] = uniform >= p ? x[here] * scale : 0;
    }
}
