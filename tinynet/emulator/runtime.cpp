// How the emulator runs a launch.
//
// Blocks do not depend on each other, so a few OS threads, the workers, take one block after the other. The threads of
// a block wait for each other at barriers, so each of them is a fiber, with a stack of its own. It runs until it has
// to wait; then its worker switches to the next thread that is ready.
//
//     thread 0   ──writes──▶ barrier                          ──reads──▶ end
//     thread 1                      ──writes──▶ barrier ──reads──▶ end          time ──▶
//
// Only one thread of a block runs at a time, so only what the workers share needs a lock.

#if defined(__APPLE__)
#define _XOPEN_SOURCE 700  // for ucontext
#define _DARWIN_C_SOURCE
#endif

#include "fiber.h"
#include "runtime.h"
#include "shadow.h"

#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace emulator;

constexpr size_t STATIC_SHARED_LIMIT = 48 << 10;
constexpr size_t PAGE = 16 << 10;  // a multiple of every machine's page size
#ifdef EMULATOR_SANITIZE
constexpr size_t STACK = 512 << 10;  // the sanitizer makes stack frames large
#else
constexpr size_t STACK = 64 << 10;
#endif
constexpr size_t STACK_ROOM = PAGE + STACK;  // below each stack is a guard page

// The indices of the running thread. Kernels see them under the same names as constants (cuda_on_cpu.h).
extern EMULATOR_EXPORT __thread Index threadIdx, blockIdx, blockDim, gridDim;
__thread Index threadIdx, blockIdx, blockDim, gridDim;

// What the workers of a launch share.
struct Progress {
    Launch &launch;
    uint64_t blocks;
    uint64_t step, shift;  // the n-th block to run is block (n * step + shift) % blocks
    std::atomic<uint64_t> next{0};
    std::atomic<bool> failed{false};
    std::mutex mutex{};  // of launch.error and `printed`
    std::string printed{};
};

struct Random {  // splitmix64
    uint64_t state;
    uint64_t below(uint64_t n) {
        uint64_t z = state += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return (z ^ (z >> 31)) % n;
    }
};

struct Thread {
    Index index;
    Fiber *fiber;  // null: it has not started
    enum { READY, AT_BARRIER, AT_WARP_BARRIER, ENDED } state;
    const SyncCall *call;  // in which it waits; on its own stack
};

struct SharedVariable {  // the dynamic one has no key
    const void *key;
    size_t bytes;
    Shape shape;
    char *memory;
    std::vector<Word> words;  // to check races
};

class Worker {
  public:
    void work(Progress &, bool starts_others);
    bool in_kernel() const { return running; }
    int running_index() const { return running - threads; }  // of the running thread in its block
    void barrier(const SyncCall &);
    void warp_barrier(const SyncCall &);
    void *shared_memory(const void *key, size_t bytes, const Shape &, Line);
    void *dynamic_shared_memory() const;
    void print(const std::string &);
    [[noreturn]] void fail(const std::string &message);
    [[noreturn]] void fail_at(Line, const std::string &message);

    bool checks_races() const { return launch->racecheck; }
    void access(const void *address, size_t bytes, Kind, const void *code);  // in racecheck.cpp
    bool fenced;  // a thread of the launch has called __threadfence()

  private:
    Progress *progress;
    Launch *launch;
    Fiber home;  // the worker's own stack

    Thread threads[MAX_THREADS], *running = nullptr;
    int count, ended, at_barrier;
    unsigned at_warp_barrier[MAX_THREADS / WARP];      // one bit per lane
    int ready[MAX_THREADS], first_ready, ready_count;  // a circular queue
    void *call_data[MAX_THREADS];
    Random random;
    std::vector<SharedVariable> shared_variables;
    Order order;
    Words words;                // of all memory that is not shared
    std::string uninitialized;  // the first read of such memory since the last barrier, or empty

    Fiber fibers[MAX_THREADS];
    int fibers_started;
    std::vector<Fiber *> idle_fibers;
    char *stacks = nullptr;
    char signal_stack[64 << 10];  // for signal handlers, since a thread that overflowed its own stack has none left

    void run_block(uint64_t number);
    void make_ready(Thread &);
    Thread *take_ready();
    void run_next();
    Fiber *unused_fiber();
    static void fiber_main();
    void thread_ended();
    void finish_barrier();
    void finish_warp_barrier(Thread *lanes, unsigned named);
    void resume(Thread &);
    void allocate_shared(const void *key, size_t bytes, const Shape &);
    void report(const std::string &message);
    std::string describe_waiting();
    Index index_of_block(uint64_t number) const;

    // In racecheck.cpp:
    void count_access(uintptr_t address, size_t bytes, Kind);
    SharedVariable *shared_variable_at(uintptr_t address);
    std::string element(uintptr_t address);
    void note_uninitialized(const Access &, uintptr_t address);
    [[noreturn]] void fail_race(Kind, const Access &now, const Access &before, bool written, uintptr_t address);
};

static __thread Worker *worker;  // of this OS thread

static std::string text(Index i) {
    return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
}
static std::string text(Line line) { return std::string(line.file) + ":" + std::to_string(line.number); }
static std::string text(const char *format, va_list list) {
    char buffer[4096];
    vsnprintf(buffer, sizeof buffer, format, list);
    return buffer;
}

// ------------------------------------------------------------------------------ the threads of a block

Index Worker::index_of_block(uint64_t number) const {
    Index grid = launch->grid;
    return {unsigned(number % grid.x), unsigned(number / grid.x % grid.y), unsigned(number / grid.x / grid.y)};
}

void Worker::run_block(uint64_t number) {
    Index size = launch->block;
    blockIdx = index_of_block(number);
    random.state = launch->seed + number;  // so that the order does not depend on which worker runs the block
    ended = at_barrier = first_ready = ready_count = 0;
    memset(at_warp_barrier, 0, sizeof at_warp_barrier);
    // All bits 1: what no thread of this block has written is a NaN or the integer -1, which shows.
    for (SharedVariable &variable : shared_variables) {
        memset(variable.memory, 0xff, variable.bytes);
        variable.words.assign(variable.words.size(), Word());
    }

    count = size.x * size.y * size.z;
    if (launch->racecheck) order.begin_block(number, count);
    Index index = {0, 0, 0};
    for (int i = 0; i < count; i++) {
        threads[i].index = index;
        threads[i].fiber = nullptr;
        make_ready(threads[i]);
        if (++index.x == size.x) index.x = 0, index.y++;
        if (index.y == size.y) index.y = 0, index.z++;
    }
    run_next();  // returns when no thread is ready
    running = nullptr;
    if (!uninitialized.empty()) report(uninitialized);
    if (ended < count && !progress->failed) report("block " + text(blockIdx) + ": deadlock: " + describe_waiting());
}

void Worker::make_ready(Thread &thread) {
    thread.state = Thread::READY;
    ready[(first_ready + ready_count++) % MAX_THREADS] = &thread - threads;
}

Thread *Worker::take_ready() {
    if (!ready_count) return nullptr;
    int &first = ready[first_ready];
    if (launch->shuffle) std::swap(first, ready[(first_ready + random.below(ready_count)) % MAX_THREADS]);
    first_ready = (first_ready + 1) % MAX_THREADS;
    ready_count--;
    return &threads[first];
}

// Switches from the running thread to the next one that is ready, or to run_block if there is none. Returns when it
// is this thread's turn again.
void Worker::run_next() {
    Fiber *from = running ? running->fiber : &home, *to = &home;
    if (Thread *next = take_ready()) {
        if (!next->fiber) next->fiber = unused_fiber();
        running = next;
        threadIdx = next->index;
        to = next->fiber;
    }
    if (to != from) switch_to(*from, *to);
}

Fiber *Worker::unused_fiber() {
    if (!idle_fibers.empty()) {
        Fiber *fiber = idle_fibers.back();
        idle_fibers.pop_back();
        return fiber;
    }
    if (!stacks) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        void *memory = mmap(nullptr, MAX_THREADS * STACK_ROOM, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (memory == MAP_FAILED) fputs("emulator: no memory for the stacks of a block\n", stderr), abort();
        stacks = static_cast<char *>(memory);
        for (int i = 0; i < MAX_THREADS; i++) mprotect(stacks + i * STACK_ROOM, PAGE, PROT_NONE);
    }
    int i = fibers_started++;
    // If all stacks began at the same offset in a page, they would compete for the same few cache lines.
    prepare(fibers[i], stacks + i * STACK_ROOM + PAGE, STACK - i % 32 * 128, fiber_main);
    return &fibers[i];
}

void Worker::fiber_main() {
    Worker *self = worker;
    started(self->home);
    for (;;) {
        self->launch->enter(self->launch->arguments);
        self->thread_ended();
    }
}

void Worker::thread_ended() {
    running->state = Thread::ENDED;
    ended++;
    if (at_barrier && at_barrier == count - ended) finish_barrier();  // which does not wait for ended threads
    // A thread that has not started can reuse this stack. So without barriers, stacks are never switched.
    idle_fibers.push_back(running->fiber);
    run_next();
}

// ------------------------------------------------------------------------------ barriers

void Worker::barrier(const SyncCall &call) {
    running->state = Thread::AT_BARRIER;
    running->call = &call;
    at_barrier++;
    if (at_barrier == count - ended) finish_barrier();
    if (running->state != Thread::READY || launch->shuffle) run_next();
}

void Worker::finish_barrier() {
    const SyncCall *first = nullptr;
    for (int i = 0; i < count; i++) {
        call_data[i] = nullptr;
        if (threads[i].state == Thread::ENDED) continue;
        const SyncCall &call = *threads[i].call;
        if (!first) first = &call;
        if (!(call.line == first->line))
            fail("block " + text(blockIdx) + ": its threads wait at different barriers: " + describe_waiting());
        call_data[i] = call.mine;
    }
    if (first->combine) first->combine(call_data, count);
    if (!uninitialized.empty()) fail(uninitialized);
    order.barrier();
    at_barrier = 0;
    for (int i = 0; i < count; i++)
        if (threads[i].state == Thread::AT_BARRIER) resume(threads[i]);
}

void Worker::warp_barrier(const SyncCall &call) {
    int warp = running_index() / WARP, lane = running_index() % WARP;
    if (!(call.mask >> lane & 1))
        fail_at(call.line, std::string(call.what) + " is called by lane " + std::to_string(lane) +
                                  ", which is not in its mask");
    running->state = Thread::AT_WARP_BARRIER;
    running->call = &call;
    at_warp_barrier[warp] |= 1u << lane;
    int width = count - warp * WARP;  // the last warp of a block may be incomplete
    unsigned named = width < WARP ? call.mask & ((1u << width) - 1) : call.mask;
    if ((at_warp_barrier[warp] & named) == named) {
        at_warp_barrier[warp] &= ~named;
        finish_warp_barrier(&threads[warp * WARP], named);
    }
    if (running->state != Thread::READY || launch->shuffle) run_next();
}

void Worker::finish_warp_barrier(Thread *lanes, unsigned named) {
    const SyncCall &ours = *running->call;
    void *of_lane[WARP] = {};
    for (int i = 0; i < WARP; i++) {
        if (!(named >> i & 1)) continue;
        const SyncCall &call = *lanes[i].call;
        if (call.mask != ours.mask || strcmp(call.what, ours.what))
            fail("block " + text(blockIdx) + ": all lanes in a mask must make the same call with the same mask: " +
                 describe_waiting());
        of_lane[i] = call.mine;
    }
    if (ours.combine)
        ours.combine(of_lane, WARP);
    else if (launch->racecheck)  // __syncwarp: CUDA does not say that a shuffle or a vote orders memory
        order.warp_barrier((lanes - threads) / WARP, named);
    for (int i = 0; i < WARP; i++)
        if (named >> i & 1) resume(lanes[i]);
}

// The last thread to arrive is still on its stack and simply goes on, unless a random thread is to run next.
void Worker::resume(Thread &thread) {
    if (&thread == running && !launch->shuffle)
        thread.state = Thread::READY;
    else
        make_ready(thread);
}

// "thread (0,0,0) and 31 more wait in __syncthreads at k.cu:7; thread (32,0,0) waits in ... at ...; 4 have ended"
std::string Worker::describe_waiting() {
    struct Group {
        const Thread *first;
        int size;
        bool has(const Thread &thread) const {
            const SyncCall &a = *first->call, &b = *thread.call;
            return a.line.number == b.line.number && a.mask == b.mask && !strcmp(a.what, b.what);
        }
    };
    std::vector<Group> groups;
    for (int i = 0; i < count; i++) {
        const Thread &thread = threads[i];
        if (thread.state != Thread::AT_BARRIER && thread.state != Thread::AT_WARP_BARRIER) continue;
        size_t at = 0;
        while (at < groups.size() && !groups[at].has(thread)) at++;
        if (at == groups.size()) groups.push_back({&thread, 0});
        groups[at].size++;
    }
    std::string result;
    for (const Group &group : groups) {
        const Thread &first = *group.first;
        if (!result.empty()) result += "; ";
        result += "thread " + text(first.index);
        if (group.size > 1) result += " and " + std::to_string(group.size - 1) + " more";
        result += (group.size > 1 ? " wait in " : " waits in ") + std::string(first.call->what);
        result += " at " + text(first.call->line);
    }
    return ended ? result + "; " + std::to_string(ended) + (ended == 1 ? " has ended" : " have ended") : result;
}

// ------------------------------------------------------------------------------ shared memory, printf

void Worker::allocate_shared(const void *key, size_t bytes, const Shape &shape) {
    void *memory;
    if (posix_memalign(&memory, 128, bytes)) fputs("emulator: no memory for shared memory\n", stderr), abort();
    memset(memory, 0xff, bytes);
    std::vector<Word> words(launch->racecheck ? (bytes + 3) / 4 : 0);
    shared_variables.push_back({key, bytes, shape, static_cast<char *>(memory), words});
}

void *Worker::shared_memory(const void *key, size_t bytes, const Shape &shape, Line line) {
    size_t fixed = bytes;
    for (SharedVariable &variable : shared_variables) {
        if (variable.key == key) return variable.memory;
        if (variable.key) fixed += variable.bytes;
    }
    if (fixed > STATIC_SHARED_LIMIT)
        fail_at(line, "static shared memory grows to " + std::to_string(fixed) + " bytes, more than " +
                          std::to_string(STATIC_SHARED_LIMIT));
    if (fixed + launch->dynamic_bytes > launch->shared_limit)
        fail_at(line, "shared memory grows to " + std::to_string(fixed) + " static and " +
                          std::to_string(launch->dynamic_bytes) + " dynamic bytes, more than " +
                          std::to_string(launch->shared_limit) + " (RawKernel.max_dynamic_shared_size_bytes)");
    allocate_shared(key, bytes, shape);
    return shared_variables.back().memory;
}

void *Worker::dynamic_shared_memory() const { return launch->dynamic_bytes ? shared_variables[0].memory : nullptr; }

void Worker::print(const std::string &line) {
    std::lock_guard<std::mutex> lock(progress->mutex);
    if (launch->print_now)
        fputs(line.c_str(), stdout), fflush(stdout);
    else
        progress->printed += line;
}

// ------------------------------------------------------------------------------ errors

void Worker::report(const std::string &message) {
    std::lock_guard<std::mutex> lock(progress->mutex);
    if (!progress->failed) snprintf(launch->error, sizeof launch->error, "%s", message.c_str());
    progress->failed = true;
}

void Worker::fail(const std::string &message) {
    report(message);
    switch_to(*running->fiber, home);  // never returns
    abort();
}

void Worker::fail_at(Line line, const std::string &message) {
    fail(text(line) + " in thread " + text(threadIdx) + " of block " + text(blockIdx) + ": " + message);
}

// A faulty kernel must not crash Python, so the emulator handles these signals while kernels run.
class CatchSignals {
  public:
    CatchSignals() {
#ifdef EMULATOR_SANITIZE  // the sanitizer's own handlers say more
        return;
#endif
        std::lock_guard<std::mutex> lock(mutex);
        if (users++) return;
        struct sigaction ours = {};
        ours.sa_sigaction = caught;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        for (int i = 0; i < COUNT; i++) sigaction(signals[i], &ours, &before[i]);
    }
    ~CatchSignals() {
#ifdef EMULATOR_SANITIZE
        return;
#endif
        std::lock_guard<std::mutex> lock(mutex);
        if (!--users) put_back();
    }

  private:
    static constexpr int COUNT = 3;
    static inline const int signals[COUNT] = {SIGSEGV, SIGBUS, SIGFPE};
    static inline struct sigaction before[COUNT];
    static inline std::mutex mutex;
    static inline int users = 0;

    static void put_back() {
        for (int i = 0; i < COUNT; i++) sigaction(signals[i], &before[i], nullptr);
    }
    static void caught(int signal, siginfo_t *info, void *) {
        if (!worker || !worker->in_kernel()) {  // not in a kernel: let it happen again, with the old handler
            put_back();
            return;
        }
        char message[200] = "integer division by zero";
        if (signal != SIGFPE)
            snprintf(message, sizeof message,
                     "accessed address %p, which is not mapped, or overflowed its stack of %zu KiB", info->si_addr,
                     STACK >> 10);
        worker->fail("thread " + text(threadIdx) + " of block " + text(blockIdx) + ": " + message +
                     "; emulator.mode(sanitize=True) finds the line");
    }
};

// ------------------------------------------------------------------------------ workers

static void run_on_a_worker(Progress &progress, bool starts_others) {
    // A worker has so much memory that allocating it takes long, so workers are kept for the next launch.
    static std::mutex mutex;
    static std::vector<Worker *> unused;
    Worker *mine = nullptr;
    {
        std::lock_guard<std::mutex> lock(mutex);
        if (!unused.empty()) mine = unused.back(), unused.pop_back();
    }
    if (!mine) mine = new Worker;
    mine->work(progress, starts_others);
    std::lock_guard<std::mutex> lock(mutex);
    unused.push_back(mine);
}

void Worker::work(Progress &shared_progress, bool starts_others) {
    using Clock = std::chrono::steady_clock;
    progress = &shared_progress;
    launch = &progress->launch;
    worker = this;
    blockDim = launch->block;
    gridDim = launch->grid;
    home.stack = nullptr;
    fibers_started = 0;  // fibers of an earlier launch may have stopped anywhere
    idle_fibers.clear();
    uninitialized.clear();
    fenced = false;
    if (launch->dynamic_bytes) allocate_shared(nullptr, launch->dynamic_bytes, {});

#ifndef EMULATOR_SANITIZE
    stack_t ours = {}, before;
    ours.ss_sp = signal_stack;
    ours.ss_size = sizeof signal_stack;
    sigaltstack(&ours, &before);
#endif

    std::vector<std::thread> others;
    Clock::time_point start = Clock::now();
    for (uint64_t n; !progress->failed && (n = progress->next++) < progress->blocks;) {
        run_block((n * progress->step + progress->shift) % progress->blocks);
        // Starting the others takes time too, so not for a short launch.
        if (starts_others && others.empty() && Clock::now() - start > std::chrono::microseconds(100))
            for (int i = 1; i < launch->workers && n + i < progress->blocks; i++)
                others.emplace_back(run_on_a_worker, std::ref(*progress), false);
    }
    for (std::thread &other : others) other.join();

#ifndef EMULATOR_SANITIZE
    sigaltstack(&before, nullptr);
#endif
    for (SharedVariable &variable : shared_variables) free(variable.memory);
    shared_variables.clear();
    words.clear();
    worker = nullptr;
}

// A number that is coprime to n: its multiples modulo n are all the numbers below n.
static uint64_t coprime_to(uint64_t n, Random &random) {
    for (;;) {
        uint64_t candidate = 1 + random.below(n), a = candidate, b = n;
        while (b) {
            uint64_t rest = a % b;
            a = b, b = rest;
        }
        if (a == 1) return candidate;
    }
}

int emulator_launch(Launch *launch) {
    uint64_t blocks = uint64_t(launch->grid.x) * launch->grid.y * launch->grid.z;
    Random random{launch->seed};
    uint64_t step = launch->shuffle ? coprime_to(blocks, random) : 1;
    Progress progress{*launch, blocks, step, launch->shuffle ? random.below(blocks) : 0};
    {
        CatchSignals catch_signals;
        run_on_a_worker(progress, true);
    }
    launch->printed = progress.printed.empty() ? nullptr : strdup(progress.printed.c_str());
    return progress.failed;
}

void emulator_free(void *memory) { free(memory); }

// ------------------------------------------------------------------------------ what kernels call

void emulator::barrier(const SyncCall &call) { worker->barrier(call); }
void emulator::warp_barrier(const SyncCall &call) { worker->warp_barrier(call); }
int emulator::lane() { return worker->running_index() % WARP; }
void *emulator::shared_memory(const void *key, unsigned long bytes, const Shape &shape, Line line) {
    return worker->shared_memory(key, bytes, shape, line);
}
void *emulator::dynamic_shared_memory() { return worker->dynamic_shared_memory(); }

int emulator::print(const char *format, ...) {
    va_list list;
    va_start(list, format);
    std::string line = text(format, list);
    va_end(list);
    worker->print(line);
    return line.size();
}

void emulator::fail(Line line, const char *format, ...) {
    va_list list;
    va_start(list, format);
    std::string message = text(format, list);
    va_end(list);
    worker->fail_at(line, message);
}
