// What runtime.cpp, which runs the launches, offers to Python and to kernels.

#pragma once

#define EMULATOR_EXPORT __attribute__((visibility("default")))

namespace emulator {

struct Index { unsigned x, y, z; };

// ------------------------------------------------------------------------------ for Python

// Python fills in the upper part (launch.py spells out the same struct) and reads the lower.
struct Launch {
    void (*enter)(char *arguments);  // the kernel, as the thread threadIdx of the block blockIdx
    char *arguments;
    Index grid, block;
    unsigned long dynamic_bytes;  // of shared memory
    unsigned long shared_limit;   // bytes of shared memory, static and dynamic, that the kernel may use
    int workers;                  // OS threads at most
    int shuffle;                  // whether blocks, and threads between barriers, run in random order
    unsigned long long seed;      // of that order
    int print_now;                // whether printf writes at once

    char *printed;  // what printf wrote, or null; to be given to emulator_free
    char error[2048];
};

// ------------------------------------------------------------------------------ for kernels

// A place in the source. As a default argument, Line::here() is the place of the call.
struct Line {
    const char *file;
    int number;
    static constexpr Line here(const char *file = __builtin_FILE(), int number = __builtin_LINE()) {
        return {file, number};
    }
    bool operator==(const Line &other) const { return number == other.number && file == other.file; }
};

// A call in which threads wait for each other. The last to come calls combine(mine, count), if there is one, on
// what they brought, while all others still stand there; mine[i] is null for a thread that takes no part.
struct Meeting {
    const char *what;  // the call's name, for messages
    Line line;
    unsigned mask;  // of a warp: the lanes that take part
    void *mine;
    void (*combine)(void **mine, int count);
};
EMULATOR_EXPORT void barrier(const Meeting &);       // of all threads of the block that have not ended
EMULATOR_EXPORT void warp_barrier(const Meeting &);  // of the lanes in the mask
EMULATOR_EXPORT int lane();

// The block's shared memory: a piece for each key, and the dynamic piece.
EMULATOR_EXPORT void *shared_memory(const void *key, unsigned long bytes, Line);
EMULATOR_EXPORT void *dynamic_shared_memory();

// printf. Python shows the text after the launch, as CUDA does when it synchronizes.
EMULATOR_EXPORT int print(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Gives up the launch, which raises KernelError with this message, the line, the thread and the block.
[[noreturn]] EMULATOR_EXPORT void fail(Line, const char *format, ...) __attribute__((format(printf, 2, 3)));

}  // namespace emulator

extern "C" EMULATOR_EXPORT int emulator_launch(emulator::Launch *);  // 0, or 1 and a message in error
extern "C" EMULATOR_EXPORT void emulator_free(void *);
