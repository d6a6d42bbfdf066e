// The interface of runtime.cpp, which runs the launches: for Python, and for kernels.

#pragma once

#define EMULATOR_EXPORT __attribute__((visibility("default")))

namespace emulator {

struct Index { unsigned x, y, z; };

// ------------------------------------------------------------------------------ for Python

enum Kind { READ, WRITE, ATOMIC };  // of an access

// An array among the arguments, and how many of its bytes have been accessed, by Kind. Counted if racecheck is set.
struct ArgumentArray {
    char *memory;
    unsigned long bytes, accessed[3];
};

// Python fills in the fields above the empty line and reads those below. runtime.py has the same struct.
struct Launch {
    void (*enter)(char *arguments);  // runs the kernel as thread threadIdx of block blockIdx
    char *arguments;
    Index grid, block;
    unsigned long dynamic_bytes;  // of shared memory
    unsigned long shared_limit;   // bytes of shared memory, static and dynamic, that a block may use
    int workers;                  // at most this many OS threads
    int shuffle;                  // whether blocks, and threads between barriers, run in random order
    unsigned long long seed;      // of that order
    int print_now;                // whether printf writes immediately
    int racecheck;                // whether accesses are checked, in a kernel compiled for that (racecheck.cpp)
    ArgumentArray *arrays;
    int array_count;

    char *printed;  // what printf wrote, or null; free it with emulator_free
    char error[2048];
};

// ------------------------------------------------------------------------------ for kernels

// A line of the source. As a default argument, Line::here() is the line of the call.
struct Line {
    const char *file;
    int number;
    static constexpr Line here(const char *file = __builtin_FILE(), int number = __builtin_LINE()) {
        return {file, number};
    }
    bool operator==(const Line &other) const { return number == other.number && file == other.file; }
};

// A call in which threads wait for each other: a barrier, a vote, a shuffle. The last thread to arrive calls
// combine(data, count), if there is one, while all the others still wait. data[i] is what thread i passed as `mine`,
// or null if it does not take part.
struct SyncCall {
    const char *what;  // the call's name, for messages
    Line line;
    unsigned mask;  // of a warp: the lanes that take part
    void *mine;
    void (*combine)(void **data, int count);
};
EMULATOR_EXPORT void barrier(const SyncCall &);       // for all threads of the block that have not ended
EMULATOR_EXPORT void warp_barrier(const SyncCall &);  // for the lanes in the mask
EMULATOR_EXPORT int lane();

// The name of a variable and how it is indexed, for messages.
struct Shape {
    static constexpr int AXES = 4;
    const char *name;
    unsigned long item_size, lengths[AXES];  // of the array's axes; 0 where it has no such axis
};

// The block's shared memory: a variable for each key, and the dynamic part.
EMULATOR_EXPORT void *shared_memory(const void *key, unsigned long bytes, const Shape &, Line);
EMULATOR_EXPORT void *dynamic_shared_memory();

// printf. Python writes the text after the launch, as CUDA does when the host synchronizes.
EMULATOR_EXPORT int print(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Aborts the launch with a KernelError that has this message, the line, the thread and the block.
[[noreturn]] EMULATOR_EXPORT void fail(Line, const char *format, ...) __attribute__((format(printf, 2, 3)));

}  // namespace emulator

extern "C" EMULATOR_EXPORT int emulator_launch(emulator::Launch *);  // 0, or 1 and a message in error
extern "C" EMULATOR_EXPORT void emulator_free(void *);
