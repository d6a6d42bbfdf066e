// The program that runs one launch under the sanitizers: runtime.cpp and this, compiled as one file, with a kernel.
//
// It reads the launch from standard input and writes the arrays back to standard output, in the format of
// sanitizer.py. Each array gets a heap block of exactly its size, so that the address sanitizer reports any access
// beyond its ends, on standard error.

#include <dlfcn.h>
#include <sanitizer/asan_interface.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

// Handles SIGABRT: both sanitizers end with abort().
static void say_where(int) {
    fprintf(stderr, "in thread (%u,%u,%u) of block (%u,%u,%u)\n", threadIdx.x, threadIdx.y, threadIdx.z, blockIdx.x,
            blockIdx.y, blockIdx.z);
    _exit(1);
}

template <class T> T read() {
    T value;
    if (fread(&value, sizeof value, 1, stdin) != 1) abort();
    return value;
}

static std::string read_bytes() {
    std::string bytes(read<uint64_t>(), '\0');
    if (fread(&bytes[0], 1, bytes.size(), stdin) != bytes.size()) abort();
    return bytes;
}

struct Array {
    char *memory;
    uint64_t bytes;
};

int main() {
    signal(SIGABRT, say_where);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // a kernel that never ends must not outlive the Python that launched it
#endif
    std::string name = read_bytes(), fields = read_bytes(), arguments = read_bytes();
    static Launch launch;
    memcpy(&launch, fields.data(), sizeof launch);
    launch.enter = reinterpret_cast<void (*)(char *)>(dlsym(RTLD_DEFAULT, ("emulator_enter_" + name).c_str()));

    std::vector<Array> arrays(read<uint64_t>());
    for (Array &array : arrays) {
        uint64_t alignment = 256, past = read<uint64_t>();  // keeps the address modulo 256 as it was
        array.bytes = read<uint64_t>();
        void *block;
        if (posix_memalign(&block, alignment, past + array.bytes)) abort();
        __asan_poison_memory_region(block, past);
        array.memory = static_cast<char *>(block) + past;
        if (fread(array.memory, 1, array.bytes, stdin) != array.bytes) abort();
        fprintf(stderr, "array %p %p\n", array.memory, array.memory + array.bytes);
    }
    // Pointers among the arguments: offset in the arguments, array, offset in the array.
    for (uint64_t pointers = read<uint64_t>(); pointers; pointers--) {
        uint64_t at = read<uint64_t>(), array = read<uint64_t>(), offset = read<uint64_t>();
        char *pointer = arrays[array].memory + offset;
        memcpy(&arguments[at], &pointer, sizeof pointer);
    }
    char *exact = static_cast<char *>(malloc(arguments.size()));
    memcpy(exact, arguments.data(), arguments.size());
    launch.arguments = exact;

    int failed = emulator_launch(&launch);
    if (failed) {
        fprintf(stderr, "KernelError: %s\n", launch.error);
        return 1;
    }
    for (Array &array : arrays) fwrite(array.memory, 1, array.bytes, stdout);
    if (launch.printed) fputs(launch.printed, stdout);
    return 0;
}
