// A fiber: a call stack that can be left in the middle of a function and resumed later.
//
// prepare(fiber, stack, size, start) makes a fiber that will run start(), which must never return.
// switch_to(from, to) suspends the running fiber, `from`, and resumes `to`. It returns when something else
// switches to `from`.

#pragma once

#include <stddef.h>
#include <sys/mman.h>

#ifdef EMULATOR_SANITIZE
#include <sanitizer/common_interface_defs.h>
#endif

#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(EMULATOR_UCONTEXT)

// By the ABI, a function must preserve only a few registers. So a suspended fiber is nothing but its stack, with these
// registers and the return address on top.
struct Context { void *stack_pointer; };
extern "C" void emulator_switch_context(Context *from, Context *to) __asm__("emulator_switch_context");

#ifdef __x86_64__
constexpr int WORDS = 8, RETURN = 6;  // saved on top of the stack; index of the return address among them
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
#else
constexpr int WORDS = 20, RETURN = 11;
asm(R"(
.text
.balign 4
emulator_switch_context:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    ldr x9, [x1]
    mov sp, x9
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
)");
#endif

static void switch_context(Context *from, Context *to) { emulator_switch_context(from, to); }

// Makes the stack look as if the fiber had been suspended just before the first instruction of `start`.
static void prepare_context(Context *context, char *stack, size_t size, void (*start)()) {
    void **top = reinterpret_cast<void **>(stack + size) - WORDS;
    for (int i = 0; i < WORDS; i++) top[i] = nullptr;
    top[RETURN] = reinterpret_cast<void *>(start);
    context->stack_pointer = top;
}

#else  // other processors use the C library, which is slower because it also saves the signal mask

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
#ifdef EMULATOR_SANITIZE  // the sanitizer must know which memory is the stack
    void *state;
    __sanitizer_start_switch_fiber(&state, to.stack, to.size);
    switch_context(&from.context, &to.context);
    __sanitizer_finish_switch_fiber(state, nullptr, nullptr);
#else
    switch_context(&from.context, &to.context);
#endif
}

// Must be the first call in start(). Tells `from`, which switched here, where its own stack is.
inline void started(Fiber &from) {
#ifdef EMULATOR_SANITIZE
    const void *stack;
    size_t size;
    __sanitizer_finish_switch_fiber(nullptr, &stack, &size);
    if (!from.stack) from.stack = stack, from.size = size;
#else
    (void)from;
#endif
}
