// How the emulator runs a launch.
//
// Blocks do not depend on each other: a few OS threads, the workers, take one block after the other. The
// threads of a block meet at barriers, so each of them is a fiber, with a stack of its own. It runs until it
// has to wait for others; then its worker takes up the next one that can run.
//
//     thread 0   ──writes──▶ barrier                          ──reads──▶ end
//     thread 1                      ──writes──▶ barrier ──reads──▶ end          time ──▶
//
// Only one thread of a block runs at a time, so nothing needs a lock but what the workers share.

#if defined(__APPLE__)
#define _XOPEN_SOURCE 700  // for ucontext
#define _DARWIN_C_SOURCE
#endif

#include "fiber.h"
#include "runtime.h"

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

constexpr int MAX_THREADS = 1024, WARP = 32;  // of a block, of a warp
constexpr size_t STATIC_SHARED_LIMIT = 48 << 10;
constexpr size_t PAGE = 16 << 10;  // a multiple of any machine's
#ifdef EMULATOR_SANITIZE
constexpr size_t STACK = 512 << 10;  // the sanitizer makes frames large
#else
constexpr size_t STACK = 64 << 10;
#endif

// Where the running thread is. A kernel reads them under the same names, as constants (cuda_on_cpu.h).
extern EMULATOR_EXPORT __thread Index threadIdx, blockIdx, blockDim, gridDim;
__thread Index threadIdx, blockIdx, blockDim, gridDim;

// What the workers of a launch share.
struct Progress {
    Launch &launch;
    uint64_t blocks;
    uint64_t step, shift;  // the n-th block to run is number (n * step + shift) % blocks
    std::atomic<uint64_t> next{0};
    std::atomic<bool> failed{false};
    std::mutex mutex{};  // for launch.error and:
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
    Fiber *fiber;  // null: it has not begun
    enum { CAN_RUN, AT_BARRIER, AT_WARP_BARRIER, ENDED } state;
    const Meeting *meeting;  // what it waits in, on its own stack
};

struct Piece {  // of shared memory; the dynamic one has no key
    const void *key;
    size_t bytes;
    char *memory;
};

class Worker {
  public:
    void work(Progress &, bool starts_others);
    bool in_kernel() const { return running; }
    int number() const { return running - threads; }  // of the running thread in its block
    void barrier(const Meeting &);
    void warp_barrier(const Meeting &);
    void *shared_memory(const void *key, size_t bytes, Line);
    void *dynamic_shared_memory() const;
    void print(const std::string &);
    [[noreturn]] void fail(const std::string &message);
    [[noreturn]] void fail_at(Line, const std::string &message);

  private:
    Progress *progress;
    Launch *launch;
    Fiber home;  // the worker's own stack

    Thread threads[MAX_THREADS], *running = nullptr;
    int count, ended, at_barrier;
    unsigned at_warp_barrier[MAX_THREADS / WARP];            // a bit for each lane
    int can_run[MAX_THREADS], first_can_run, can_run_count;  // a queue
    void *brought[MAX_THREADS];
    Random random;
    std::vector<Piece> pieces;

    Fiber fibers[MAX_THREADS];
    int fibers_begun;
    std::vector<Fiber *> idle_fibers;
    char *stacks = nullptr;
    char signal_stack[64 << 10];  // for a signal's handler: a thread that filled its own stack has none left

    void run_block(uint64_t number);
    void make_runnable(Thread &);
    Thread *take_runnable();
    void run_next();
    Fiber *fiber_to_begin();
    static void fiber_main();
    void thread_ended();
    void finish_barrier();
    void finish_warp_barrier(Thread *lanes, unsigned named);
    void go_on(Thread &);
    void add_piece(const void *key, size_t bytes);
    void report(const std::string &message);
    std::string who_waits();
};

static __thread Worker *worker;  // the one that this OS thread is

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

void Worker::run_block(uint64_t number) {
    Index grid = launch->grid, size = launch->block;
    blockIdx = {unsigned(number % grid.x), unsigned(number / grid.x % grid.y), unsigned(number / grid.x / grid.y)};
    random.state = launch->seed + number;  // of the block: the order is the same whoever runs it
    ended = at_barrier = first_can_run = can_run_count = 0;
    memset(at_warp_barrier, 0, sizeof at_warp_barrier);
    // All bits 1: a float that no thread of this block has written is NaN, an integer -1. That shows.
    for (Piece &piece : pieces) memset(piece.memory, 0xff, piece.bytes);

    count = size.x * size.y * size.z;
    Index index = {0, 0, 0};
    for (int i = 0; i < count; i++) {
        threads[i].index = index;
        threads[i].fiber = nullptr;
        make_runnable(threads[i]);
        if (++index.x == size.x) index.x = 0, index.y++;
        if (index.y == size.y) index.y = 0, index.z++;
    }
    run_next();  // comes back when no thread can run
    running = nullptr;
    if (ended < count && !progress->failed) report("block " + text(blockIdx) + ": deadlock: " + who_waits());
}

void Worker::make_runnable(Thread &thread) {
    thread.state = Thread::CAN_RUN;
    can_run[(first_can_run + can_run_count++) % MAX_THREADS] = &thread - threads;
}

Thread *Worker::take_runnable() {
    if (!can_run_count) return nullptr;
    int &first = can_run[first_can_run];
    if (launch->shuffle) std::swap(first, can_run[(first_can_run + random.below(can_run_count)) % MAX_THREADS]);
    first_can_run = (first_can_run + 1) % MAX_THREADS;
    can_run_count--;
    return &threads[first];
}

// Leaves the running thread for the next that can run, or for run_block if there is none. Returns when it is
// this thread's turn again.
void Worker::run_next() {
    Fiber *from = running ? running->fiber : &home, *to = &home;
    if (Thread *next = take_runnable()) {
        if (!next->fiber) next->fiber = fiber_to_begin();
        running = next;
        threadIdx = next->index;
        to = next->fiber;
    }
    if (to != from) switch_to(*from, *to);
}

Fiber *Worker::fiber_to_begin() {
    if (!idle_fibers.empty()) {
        Fiber *fiber = idle_fibers.back();
        idle_fibers.pop_back();
        return fiber;
    }
    constexpr size_t room = PAGE + STACK;  // below each stack lies a page that must not be touched
    if (!stacks) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        void *memory = mmap(nullptr, MAX_THREADS * room, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (memory == MAP_FAILED) fputs("emulator: no memory for the stacks of a block\n", stderr), abort();
        stacks = static_cast<char *>(memory);
        for (int i = 0; i < MAX_THREADS; i++) mprotect(stacks + i * room, PAGE, PROT_NONE);
    }
    int i = fibers_begun++;
    // If all stacks began at the same place of a page, they would compete for the same few lines of the cache.
    prepare(fibers[i], stacks + i * room + PAGE, STACK - i % 32 * 128, fiber_main);
    return &fibers[i];
}

void Worker::fiber_main() {
    Worker *self = worker;
    begun(self->home);
    for (;;) {
        self->launch->enter(self->launch->arguments);
        self->thread_ended();
    }
}

void Worker::thread_ended() {
    running->state = Thread::ENDED;
    ended++;
    if (at_barrier && at_barrier == count - ended) finish_barrier();  // it waits only for those that have not ended
    // A thread that has not begun can do so right here. Without barriers, no stack is ever switched.
    idle_fibers.push_back(running->fiber);
    run_next();
}

// ------------------------------------------------------------------------------ barriers

void Worker::barrier(const Meeting &meeting) {
    running->state = Thread::AT_BARRIER;
    running->meeting = &meeting;
    at_barrier++;
    if (at_barrier == count - ended) finish_barrier();
    if (running->state != Thread::CAN_RUN || launch->shuffle) run_next();
}

void Worker::finish_barrier() {
    const Meeting *first = nullptr;
    for (int i = 0; i < count; i++) {
        brought[i] = nullptr;
        if (threads[i].state == Thread::ENDED) continue;
        const Meeting &meeting = *threads[i].meeting;
        if (!first) first = &meeting;
        if (!(meeting.line == first->line))
            fail("block " + text(blockIdx) + ": its threads wait at different barriers: " + who_waits());
        brought[i] = meeting.mine;
    }
    if (first->combine) first->combine(brought, count);
    at_barrier = 0;
    for (int i = 0; i < count; i++)
        if (threads[i].state == Thread::AT_BARRIER) go_on(threads[i]);
}

void Worker::warp_barrier(const Meeting &meeting) {
    int warp = number() / WARP, lane = number() % WARP;
    if (!(meeting.mask >> lane & 1))
        fail_at(meeting.line, std::string(meeting.what) + " is called by lane " + std::to_string(lane) +
                                  ", which its mask does not name");
    running->state = Thread::AT_WARP_BARRIER;
    running->meeting = &meeting;
    at_warp_barrier[warp] |= 1u << lane;
    int width = count - warp * WARP;  // the last warp of a block may be short
    unsigned named = width < WARP ? meeting.mask & ((1u << width) - 1) : meeting.mask;
    if ((at_warp_barrier[warp] & named) == named) {
        at_warp_barrier[warp] &= ~named;
        finish_warp_barrier(&threads[warp * WARP], named);
    }
    if (running->state != Thread::CAN_RUN || launch->shuffle) run_next();
}

void Worker::finish_warp_barrier(Thread *lanes, unsigned named) {
    const Meeting &ours = *running->meeting;
    void *of_lane[WARP] = {};
    for (int i = 0; i < WARP; i++) {
        if (!(named >> i & 1)) continue;
        const Meeting &meeting = *lanes[i].meeting;
        if (meeting.mask != ours.mask || strcmp(meeting.what, ours.what))
            fail("block " + text(blockIdx) + ": lanes that a mask names must make the same call with the same mask: " +
                 who_waits());
        of_lane[i] = meeting.mine;
    }
    if (ours.combine) ours.combine(of_lane, WARP);
    for (int i = 0; i < WARP; i++)
        if (named >> i & 1) go_on(lanes[i]);
}

// The last to come has not left its stack, and need not: unless chance is to say who comes next.
void Worker::go_on(Thread &thread) {
    if (&thread == running && !launch->shuffle)
        thread.state = Thread::CAN_RUN;
    else
        make_runnable(thread);
}

// "thread (0,0,0) and 31 more wait in __syncthreads at k.cu:7; thread (32,0,0) waits in ... at ...; 4 have ended"
std::string Worker::who_waits() {
    struct Group {
        const Thread *first;
        int size;
        bool has(const Thread &thread) const {
            const Meeting &a = *first->meeting, &b = *thread.meeting;
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
        result += (group.size > 1 ? " wait in " : " waits in ") + std::string(first.meeting->what);
        result += " at " + text(first.meeting->line);
    }
    return ended ? result + "; " + std::to_string(ended) + (ended == 1 ? " has ended" : " have ended") : result;
}

// ------------------------------------------------------------------------------ shared memory, printf

void Worker::add_piece(const void *key, size_t bytes) {
    void *memory;
    if (posix_memalign(&memory, 128, bytes)) fputs("emulator: no memory for shared memory\n", stderr), abort();
    memset(memory, 0xff, bytes);
    pieces.push_back({key, bytes, static_cast<char *>(memory)});
}

void *Worker::shared_memory(const void *key, size_t bytes, Line line) {
    size_t fixed = bytes;
    for (Piece &piece : pieces) {
        if (piece.key == key) return piece.memory;
        if (piece.key) fixed += piece.bytes;
    }
    if (fixed > STATIC_SHARED_LIMIT)
        fail_at(line, "static shared memory grows to " + std::to_string(fixed) + " bytes, more than " +
                          std::to_string(STATIC_SHARED_LIMIT));
    if (fixed + launch->dynamic_bytes > launch->shared_limit)
        fail_at(line, "shared memory grows to " + std::to_string(fixed) + " static and " +
                          std::to_string(launch->dynamic_bytes) + " dynamic bytes, more than " +
                          std::to_string(launch->shared_limit) + " (RawKernel.max_dynamic_shared_size_bytes)");
    add_piece(key, bytes);
    return pieces.back().memory;
}

void *Worker::dynamic_shared_memory() const { return launch->dynamic_bytes ? pieces[0].memory : nullptr; }

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
    switch_to(*running->fiber, home);  // for good
    abort();
}

void Worker::fail_at(Line line, const std::string &message) {
    fail(text(line) + " in thread " + text(threadIdx) + " of block " + text(blockIdx) + ": " + message);
}

// A kernel that goes astray must not take Python down with it: while kernels run, these signals are ours.
class CatchSignals {
  public:
    CatchSignals() {
#ifdef EMULATOR_SANITIZE  // the sanitizer's own handler says more
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
        if (!worker || !worker->in_kernel()) {  // not a kernel's fault: it will happen again, and be handled as before
            put_back();
            return;
        }
        char message[200] = "division of an integer by zero";
        if (signal != SIGFPE)
            snprintf(message, sizeof message, "it touched address %p, where nothing is, or filled its stack of %zu KiB",
                     info->si_addr, STACK >> 10);
        worker->fail("thread " + text(threadIdx) + " of block " + text(blockIdx) + ": " + message +
                     "; emulator.mode(sanitize=True) finds the line");
    }
};

// ------------------------------------------------------------------------------ workers

static void run_on_a_worker(Progress &progress, bool starts_others) {
    // A worker has much memory, which takes long to get from the system: it is kept for the next launch.
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
    fibers_begun = 0;  // fibers of earlier launches may have stopped anywhere
    idle_fibers.clear();
    if (launch->dynamic_bytes) add_piece(nullptr, launch->dynamic_bytes);

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
        // To start others takes time too: not for a short launch.
        if (starts_others && others.empty() && Clock::now() - start > std::chrono::microseconds(100))
            for (int i = 1; i < launch->workers && n + i < progress->blocks; i++)
                others.emplace_back(run_on_a_worker, std::ref(*progress), false);
    }
    for (std::thread &other : others) other.join();

#ifndef EMULATOR_SANITIZE
    sigaltstack(&before, nullptr);
#endif
    for (Piece &piece : pieces) free(piece.memory);
    pieces.clear();
    worker = nullptr;
}

// A number that has no divisor in common with n: its multiples, modulo n, visit all numbers below n.
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

void emulator::barrier(const Meeting &meeting) { worker->barrier(meeting); }
void emulator::warp_barrier(const Meeting &meeting) { worker->warp_barrier(meeting); }
int emulator::lane() { return worker->number() % WARP; }
void *emulator::shared_memory(const void *key, unsigned long bytes, Line line) {
    return worker->shared_memory(key, bytes, line);
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
