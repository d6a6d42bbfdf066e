// What g++ -fsanitize=thread calls before each load and store of a kernel. Its own library, which these functions
// replace, looks for races between OS threads; ours are between the threads of a launch. See shadow.h.

#include <dlfcn.h>

void Worker::access(const void *address, size_t bytes, Kind kind, const void *code) {
    uintptr_t start = uintptr_t(address), end = start + bytes;
    if (start - uintptr_t(stacks) < MAX_THREADS * STACK_ROOM) return;  // a thread's own variable
    SharedVariable *variable = shared_variable_at(start);
    if (!variable) count_access(start, bytes, kind);
    if (!variable && fenced) return;
    for (uintptr_t word = start & ~uintptr_t(3); word < end; word += 4) {
        unsigned skipped = start > word ? start - word : 0;
        uint8_t mask = 0xf << skipped & 0xf & (end < word + 4 ? (1 << (end - word)) - 1 : 0xf);
        Access now = order.access(running_index(), mask, kind == ATOMIC, static_cast<const char *>(code));
        Word &here = variable ? variable->words[(word - uintptr_t(variable->memory)) / 4] : words.at(word);
        uintptr_t first = word + skipped;
        if (kind != WRITE && variable && mask & ~here.initialized) note_uninitialized(now, first);
        if (const Access *before = order.race(here.written, now)) fail_race(kind, now, *before, true, first);
        if (kind != READ)
            if (const Access *before = order.race(here.read, now)) fail_race(kind, now, *before, false, first);
        if (kind != READ) here.initialized |= mask;
        order.record(kind == READ ? here.read : here.written, now);
    }
}

void Worker::count_access(uintptr_t address, size_t bytes, Kind kind) {
    for (ArgumentArray *array = launch->arrays; array < launch->arrays + launch->array_count; array++)
        if (address - uintptr_t(array->memory) < array->bytes) {
            array->accessed[kind] += bytes;
            return;
        }
}

SharedVariable *Worker::shared_variable_at(uintptr_t address) {
    for (SharedVariable &variable : shared_variables)
        if (address - uintptr_t(variable.memory) < variable.bytes) return &variable;
    return nullptr;
}

// ------------------------------------------------------------------------------ messages

// Python finds the source's lines and the names of the arguments. So {code 0x1234}, an address in the library, and
// {data 0x1234} stand for them.
static std::string text(const char *what, uintptr_t address) {
    char buffer[64];
    snprintf(buffer, sizeof buffer, "{%s 0x%llx}", what, (unsigned long long)address);
    return buffer;
}
static std::string line(const Access &access) {
    Dl_info library;
    if (!dladdr(access.code, &library)) return "?";
    return text("code", access.code - 1 - static_cast<char *>(library.dli_fbase));  // -1: in the call, not after it
}

// "tile[2][5]"
std::string Worker::element(uintptr_t address) {
    SharedVariable *variable = shared_variable_at(address);
    if (!variable) return text("data", address);
    size_t offset = address - uintptr_t(variable->memory);
    if (!variable->key) return "byte " + std::to_string(offset) + " of dynamic shared memory";
    const Shape &shape = variable->shape;
    std::string indices;
    size_t i = offset / shape.item_size;
    for (int axis = Shape::AXES - 1; axis >= 0; axis--) {
        if (!shape.lengths[axis]) continue;
        indices = "[" + std::to_string(i % shape.lengths[axis]) + "]" + indices;
        i /= shape.lengths[axis];
    }
    return shape.name + indices;
}

// Another thread may write it later without a barrier in between. That is a race, so the error waits for the barrier.
void Worker::note_uninitialized(const Access &now, uintptr_t address) {
    if (uninitialized.empty())
        uninitialized = line(now) + " in thread " + text(threadIdx) + " of block " + text(blockIdx) +
                        ": uninitialized: reads " + element(address) + ", which no thread of the block has written";
}

void Worker::fail_race(Kind kind, const Access &now, const Access &before, bool written, uintptr_t address) {
    const char *does[] = {"reads", "writes", "atomically changes"};
    std::string other = "thread " + text(threads[before.thread].index), missing;
    if (before.block != now.block) {
        other += " of block " + text(index_of_block(before.block));
        missing = "nothing orders the blocks of a launch";
    } else {
        bool same_warp = before.thread / WARP == now.thread / WARP;
        missing = std::string("no __syncthreads()") + (same_warp ? " or __syncwarp()" : "") + " comes between";
    }
    fail(line(now) + " in thread " + text(threadIdx) + " of block " + text(blockIdx) + ": race: " + does[kind] + " " +
         element(address) + ", which " + other + " " + does[!written ? READ : before.atomic ? ATOMIC : WRITE] + " at " +
         line(before) + "; " + missing);
}

// ------------------------------------------------------------------------------ what the compiler calls

static void record(const volatile void *address, size_t bytes, Kind kind, const void *code) {
    if (worker && worker->checks_races()) worker->access(const_cast<const void *>(address), bytes, kind, code);
}

#define CODE __builtin_return_address(0)
#define TSAN extern "C" EMULATOR_EXPORT
#define TSAN_ACCESS(bytes)                                                                                            \
    TSAN void __tsan_read##bytes(void *address) { record(address, bytes, READ, CODE); }                               \
    TSAN void __tsan_write##bytes(void *address) { record(address, bytes, WRITE, CODE); }                             \
    TSAN void __tsan_unaligned_read##bytes(void *address) { record(address, bytes, READ, CODE); }                     \
    TSAN void __tsan_unaligned_write##bytes(void *address) { record(address, bytes, WRITE, CODE); }
TSAN_ACCESS(1)
TSAN_ACCESS(2)
TSAN_ACCESS(4)
TSAN_ACCESS(8)
TSAN_ACCESS(16)
TSAN void __tsan_read_range(void *address, size_t bytes) { record(address, bytes, READ, CODE); }
TSAN void __tsan_write_range(void *address, size_t bytes) { record(address, bytes, WRITE, CODE); }

// clang++ has these three for large structs.
TSAN void *__tsan_memcpy(void *to, const void *from, size_t bytes) {
    record(from, bytes, READ, CODE), record(to, bytes, WRITE, CODE);
    return memcpy(to, from, bytes);
}
TSAN void *__tsan_memmove(void *to, const void *from, size_t bytes) {
    record(from, bytes, READ, CODE), record(to, bytes, WRITE, CODE);
    return memmove(to, from, bytes);
}
TSAN void *__tsan_memset(void *to, int value, size_t bytes) {
    record(to, bytes, WRITE, CODE);
    return memset(to, value, bytes);
}

// The two atomic operations of cuda_on_cpu.h, as g++ and clang++ call them. A load is always followed by an exchange.
#define TSAN_ATOMIC(bits, T)                                                                                          \
    TSAN T __tsan_atomic##bits##_load(const volatile T *address, int order) {                                         \
        return __atomic_load_n(address, __ATOMIC_RELAXED);                                                            \
    }                                                                                                                 \
    TSAN int __tsan_atomic##bits##_compare_exchange_strong(volatile T *address, T *before, T after, int, int) {       \
        record(address, bits / 8, ATOMIC, CODE);                                                                      \
        return __atomic_compare_exchange_n(address, before, after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);        \
    }                                                                                                                 \
    TSAN T __tsan_atomic##bits##_compare_exchange_val(volatile T *address, T before, T after, int, int) {             \
        record(address, bits / 8, ATOMIC, CODE);                                                                      \
        __atomic_compare_exchange_n(address, &before, after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);              \
        return before;                                                                                                \
    }
TSAN_ATOMIC(16, unsigned short)
TSAN_ATOMIC(32, unsigned)
TSAN_ATOMIC(64, unsigned long long)

// A kernel with a __threadfence() orders its blocks by itself, by what it reads and writes. That is beyond this check.
TSAN void __tsan_atomic_thread_fence(int) {
    if (worker) worker->fenced = true;
}

TSAN void __tsan_init() {}
TSAN void __tsan_func_entry(void *) {}
TSAN void __tsan_func_exit() {}
