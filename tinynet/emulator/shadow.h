// Who has accessed which memory, and what comes before what: how mode(racecheck=True) finds races.
//
// Two accesses to the same word by different threads are a race if one of them writes and nothing orders them. A
// __syncthreads() orders everything before it and everything after it, in its block. A __syncwarp() does so for the
// lanes in its mask. Nothing orders the blocks of a launch. So each access is stamped with the barriers that its block
// has passed, and with the clock of its thread, which a __syncwarp() advances. Whether it comes before another one can
// be told from the stamps, whatever order the threads ran in.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <vector>

constexpr int MAX_THREADS = 1024, WARP = 32;  // threads per block, per warp

struct Access {
    uint32_t block;     // its number in the grid
    uint16_t thread;    // its index in the block
    uint8_t bytes;      // which of the word's four, one bit each
    bool atomic;
    uint32_t barriers;  // that the block had passed
    uint32_t clock;     // of the thread; 0: there was no access
    const char *code;   // the return address of the call that the compiler put before it

    bool operator<(const Access &other) const {
        return block != other.block ? block < other.block : thread < other.thread;
    }
};

// The accesses of one kind to one word that nothing orders. If several threads have made some, the first and the last
// of these are enough: a thread that both are ordered with is ordered with the others too, unless the masks of
// __syncwarp are contrived.
struct Accesses {
    Access first, last;
};

struct Word {
    Accesses written, read;
    uint8_t initialized;  // of shared memory: the bytes that have been written, one bit each
};

// What comes before what in the running block.
class Order {
  public:
    void begin_block(uint32_t number, int threads) {
        block = number;
        barriers = 0;
        for (int i = 0; i < threads; i++)
            for (int lane = 0; lane < WARP; lane++) clocks[i][lane] = i % WARP == lane;
    }

    Access access(int thread, uint8_t bytes, bool atomic, const char *code) const {
        return {block, uint16_t(thread), bytes, atomic, barriers, clocks[thread][thread % WARP], code};
    }

    void barrier() { barriers++; }

    // Each lane learns what all the others know: a step of vector clocks. mask: the lanes that take part.
    void warp_barrier(int warp, unsigned mask) {
        uint32_t known[WARP] = {};
        for (int lane = 0; lane < WARP; lane++)
            for (int of = 0; of < WARP && (mask >> lane & 1); of++)
                known[of] = std::max(known[of], clocks[warp * WARP + lane][of]);
        for (int lane = 0; lane < WARP; lane++) {
            if (!(mask >> lane & 1)) continue;
            std::copy(known, known + WARP, clocks[warp * WARP + lane]);
            clocks[warp * WARP + lane][lane]++;
        }
    }

    bool precedes(const Access &before, const Access &now) const {
        if (!before.clock) return true;
        if (before.block != now.block) return false;
        if (before.thread == now.thread || before.barriers < now.barriers) return true;
        return before.thread / WARP == now.thread / WARP && before.clock <= clocks[now.thread][before.thread % WARP];
    }

    // The access that races with this one, or null.
    const Access *race(const Accesses &earlier, const Access &now) const {
        for (const Access *before : {&earlier.first, &earlier.last})
            if (before->bytes & now.bytes && !(before->atomic && now.atomic) && !precedes(*before, now)) return before;
        return nullptr;
    }

    void record(Accesses &accesses, const Access &now) const {
        if (precedes(accesses.first, now) || now < accesses.first) accesses.first = now;
        if (precedes(accesses.last, now) || accesses.last < now) accesses.last = now;
    }

  private:
    uint32_t block, barriers;
    uint32_t clocks[MAX_THREADS][WARP];  // [i][lane]: the accesses of that lane, up to this clock, precede thread i's
};

// The words of all memory that is not shared, made when they are first accessed.
class Words {
  public:
    Word &at(uintptr_t address) {
        if (address / PAGE != last_page || !last) {
            std::unique_ptr<Word[]> &words = pages[last_page = address / PAGE];
            if (!words) words.reset(new Word[PAGE / 4]());
            last = words.get();
        }
        return last[address % PAGE / 4];
    }
    void clear() { pages.clear(), last = nullptr; }

  private:
    static constexpr size_t PAGE = 4096;
    std::unordered_map<uintptr_t, std::unique_ptr<Word[]>> pages;
    uintptr_t last_page = 0;
    Word *last = nullptr;
};
