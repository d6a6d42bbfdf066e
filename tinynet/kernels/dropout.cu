// Dropout without a stored mask: every uniform is computed from its number, forward and backward alike.
//
// In NumPy, with the uniforms of a whole activation that has rows of whole_row_length:
//
//     uniforms = np.random.Generator(np.random.Philox(key=key)).random(rows * whole_row_length, dtype="float32")
//     uniforms = uniforms.reshape(rows, whole_row_length)[:, first_column : first_column + row_length]
//     y = np.where(uniforms >= p, x * scale, 0)                                   # scale = 1 / (1 - p)
//
// Philox4x64-10 (Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3") has no state to hand on
// from one number to the next: it scrambles a counter. Ten rounds, each two wide products whose halves are
// swapped about and xor-ed with a key, turn counter and key into four words of 64 bits. NumPy starts at
// counter 1 and makes two uniforms of each word, the low half first: uniform = (half >> 8) * 2^-24.
//
// So counter j + 1 holds the uniforms 8 * j ... 8 * j + 7, and a thread takes one counter for one row of x: the
// elements of that row that have one of these uniforms. A row may start and end amid a counter; then two
// threads compute the same counter, each for its own elements.
//
// Index map: thread -> (row, j-th counter of that row). Loads and stores per thread: up to 8 of x and of y,
// next to each other. Grid and block in 1-d, 256 threads. No shared memory.

typedef unsigned long long Word;

struct Words { Word w[4]; };

// a * b = high * 2^64 + low; the low word is what `a * b` gives in C.
__device__ Words philox_round(Words c, Word key0, Word key1) {
    const Word a = 0xD2E7470EE14C6C93, b = 0xCA5A826395121157;
    return {{__umul64hi(b, c.w[2]) ^ c.w[1] ^ key0, b * c.w[2], __umul64hi(a, c.w[0]) ^ c.w[3] ^ key1, a * c.w[0]}};
}

__device__ Words philox(Word counter, Word key) {
    Words c = {{counter, 0, 0, 0}};  // 256 bits, of which 64 are more than enough
    Word key0 = key, key1 = 0;
    for (int round = 0; round < 10; ++round) {
        c = philox_round(c, key0, key1);
        key0 += 0x9E3779B97F4A7C15;  // the golden ratio, and below sqrt(3) - 1: a new key for each round
        key1 += 0xBB67AE8584CAA73B;
    }
    return c;
}

extern "C" __global__ void dropout(const T *__restrict__ x, T *__restrict__ y, int rows, int row_length,
                                   int counters_a_row, Word whole_row_length, Word first_column, float p, T scale, Word key) {
    const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = thread / counters_a_row;
    if (row >= rows) return;
    const Word first_coin = row * whole_row_length + first_column;  // of this row of x
    const Word counter = first_coin / 8 + thread % counters_a_row;
    const Words words = philox(counter + 1, key);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        const long long column = (long long)(counter * 8 + i - first_coin);  // below 0 before the row starts
        if (column < 0 || column >= row_length) continue;
        const unsigned half = (unsigned)(words.w[i / 2] >> 32 * (i % 2));
        const float uniform = (half >> 8) * (1.0f / (1 << 24));
        const int here = row * row_length + (int)column;
        y[here] = uniform >= p ? x[here] * scale : 0;
    }
}
