// A fiber: a call stack that can be left in the middle of a function and taken up again later.
//
// prepare(fiber, stack, size, start) makes one that will begin with start(), which must never return.
// switch_to(from, to) leaves the running fiber, `from`, and takes up `to`. It returns when something else
// switches to `from`.

#pragma once

#include <stddef.h>
#include <sys/mman.h>

#ifdef EMULATOR_SANITIZE
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__x86_64__) && !defined(EMULATOR_UCONTEXT)

struct Context { void *stack_pointer; };

// The ABI says that a function may change all registers but six. So a fiber that has been left is no more than
// its stack, with these six and the address to return to on top.
extern "C" void emulator_switch_context(Context *from, Context *to) __asm__("emulator_switch_context");
asm(R"(
.text
emulator_switch_context:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq (%rsi), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");

static void switch_context(Context *from, Context *to) { emulator_switch_context(from, to); }

// The stack looks as if `start` had left it before its first instruction.
static void prepare_context(Context *context, char *stack, size_t size, void (*start)()) {
    void **top = reinterpret_cast<void **>(stack + size);
    *--top = nullptr;  // where start would return to
    *--top = reinterpret_cast<void *>(start);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    context->stack_pointer = top;
}

#else  // other processors: the C library's way, which is slower, for it also saves the signal mask

#include <ucontext.h>
using Context = ucontext_t;

static void switch_context(Context *from, Context *to) { swapcontext(from, to); }

static void prepare_context(Context *context, char *stack, size_t size, void (*start)()) {
    getcontext(context);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = size;
    context->uc_link = nullptr;
    makecontext(context, start, 0);
}

#endif

struct Fiber {
    Context context;
    const void *stack = nullptr;
    size_t size = 0;
};

inline void prepare(Fiber &fiber, char *stack, size_t size, void (*start)()) {
    fiber.stack = stack;
    fiber.size = size;
    prepare_context(&fiber.context, stack, size, start);
}

inline void switch_to(Fiber &from, Fiber &to) {
#ifdef EMULATOR_SANITIZE  // the sanitizer has to know which memory is the stack
    void *state;
    __sanitizer_start_switch_fiber(&state, to.stack, to.size);
    switch_context(&from.context, &to.context);
    __sanitizer_finish_switch_fiber(state, nullptr, nullptr);
#else
    switch_context(&from.context, &to.context);
#endif
}

// The first thing that start() does. `from`, which it was begun from, learns where its own stack is.
inline void begun(Fiber &from) {
#ifdef EMULATOR_SANITIZE
    const void *stack;
    size_t size;
    __sanitizer_finish_switch_fiber(nullptr, &stack, &size);
    if (!from.stack) from.stack = stack, from.size = size;
#else
    (void)from;
#endif
}
