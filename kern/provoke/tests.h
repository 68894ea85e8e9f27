// SPDX-License-Identifier: MIT
//
// The table of tests, by the file that has them: X(NAME, function, outcome, help).
//
// A test gets the words behind its name; a null pointer follows the last word.  help begins with
// those words (kern/provoke/words.h says what ACCESS, SP and TRAP are).
#pragma once

#include "kern/lib/types.h"

enum outcome {
  STOPS,    // the kernel must stop the test; one that returns has failed
  RETURNS,  // the test returns, or may
};

// kern/provoke/exhaust.c: the stack runs out.
#define EXHAUST_TESTS(X)                                                                           \
  X(EXHAUST_STACK, exhaust_stack, STOPS, "recurse until the stack is gone")                        \
  X(EXHAUST_IRQOFF, exhaust_irqoff, STOPS, "recurse with interrupts off")                          \
  X(EXHAUST_SPINLOCK, exhaust_spinlock, STOPS, "recurse holding a spin lock")                      \
  X(EXHAUST_SLEEPLOCK, exhaust_sleeplock, STOPS, "recurse holding a sleep lock")                   \
  X(EXHAUST_TRANSACTION, exhaust_transaction, STOPS,                                               \
    "[half] recurse in a transaction, which has changed a directory")                              \
  X(TRANSACTION, transaction, RETURNS, "[N] keep a transaction open for N ticks")                  \
  X(EXHAUST_FORK, exhaust_fork, STOPS, "[N] recurse in the N-th allocation of a fork")             \
  X(EXHAUST_KTHREAD, exhaust_kthread, STOPS, "recurse in a kernel thread")                         \
  X(EXHAUST_FRAMES, exhaust_frames, STOPS, "[N] make frames of N bytes, in assembly")              \
  X(EXHAUST_CONSOLE, exhaust_console, STOPS, "recurse within the console, which is locked")        \
  X(EXHAUST_REPORTING, exhaust_reporting, STOPS,                                                   \
    "[line|panic|message] recurse while another reports")                                          \
  X(EXHAUST_ALL, exhaust_all, STOPS, "[off] recurse in as many processes as harts, at once")       \
  X(REPORTER, reporter, STOPS, "[fault] make the reporter itself overflow, or fault")

// kern/provoke/sp.c: sp is set.
#define SP_TESTS(X)                                                                                \
  X(WILD_SP, wild_sp, STOPS, "SP [TRAP] set sp, trap")                                             \
  X(UNDERFLOW, underflow, STOPS, "[N [TRAP]] set sp N bytes above the stack, trap")                \
  X(JUMP_FRAME, jump_frame, STOPS, "[N] set sp N bytes below the stack, store there")              \
  X(COPY_LOW, copy_low, STOPS, "SP ADDRESS copy to the user's address with that sp")               \
  X(COPY_KERNEL, copy_kernel, STOPS, "to|from|string SP user copy, the kernel's side there")

// kern/provoke/frames.c: known frames and registers, spoiled frames.
#define FRAME_TESTS(X)                                                                             \
  X(PLANT, plant, STOPS, "[N [small|mixed]] load from null, N + 1 calls deep")                     \
  X(REGISTERS, set_registers, STOPS, "[SP [SEED]] set every xN to SEED + N, fault")                \
  X(STACK_USE, stack_use, RETURNS, "N [TEST...] use N bytes of stack and go on")                   \
  X(CORRUPT_STACK, corrupt_stack, STOPS, "[N] overrun a local array by N bytes, return")           \
  X(CORRUPT_FRAME, corrupt_frame, RETURNS, "[mode] return to kernel code, or in kernel mode")

// kern/provoke/stacks.c: stacks by a pointer.
#define STACK_TESTS(X)                                                                             \
  X(STACK_GUARD_PAGE_LEADING, guard_leading, STOPS, "[ACCESS [N]] byte N below this stack")        \
  X(STACK_GUARD_PAGE_TRAILING, guard_trailing, STOPS, "[ACCESS [N]] byte N above this stack")      \
  X(GUARD_OTHER, guard_other, STOPS, "[ACCESS [N [PID]]] byte N below another stack")              \
  X(STALE_STACK, stale_stack, STOPS, "[ACCESS [N]] byte N of a stack that was freed")              \
  X(STALE_REMOTE, stale_remote, RETURNS, "[frame|slot] the same on another hart, reused or not")   \
  X(REUSE_COUNT, reuse_count, RETURNS, "count stacks until a freed slot is used again")            \
  X(NEW_REMOTE, new_remote, RETURNS, "run a thread with a new stack on another hart")

// kern/provoke/life.c: a stack's life.
#define LIFE_TESTS(X)                                                                              \
  X(FAIL_ALLOC, fail_alloc, RETURNS, "[N] fail this process's N-th allocation, counted from now")  \
  X(MAKE_THREAD, make_thread, RETURNS, "make a kernel thread that ends at once")                   \
  X(STACK_SECRET, stack_secret, RETURNS, "[N [DEPTH]] leave N bytes below DEPTH KiB of frames")    \
  X(STRAY_SECRET, stray_secret, STOPS, "[N] leave one N bytes above the low end, then fault")      \
  X(STACK_IRQ, stack_irq, RETURNS, "[N] take N stacks in an interrupt, then in many")              \
  X(REUSE_STACK, reuse_stack, RETURNS, "[N] take the stack of a thread that used N bytes")

// kern/provoke/room.c: little stack is left.
#define ROOM_TESTS(X)                                                                              \
  X(STACK_ROOM, stack_room, RETURNS, "N leave this process N bytes of its stack from now on")

// kern/provoke/buffers.c: buffers for devices.
#define BUFFER_TESTS(X)                                                                            \
  X(DMA_STACK, dma_stack, STOPS, "[disk|gone|nobody] give a stack address to a device")            \
  X(DMA_VMALLOC, dma_vmalloc, STOPS, "[disk] give it one of an allocated area")                    \
  X(DMA_RANGE, dma_range, STOPS, "ram|data|text give it a range past RAM, past data; code")        \
  X(DMA_HEAP, dma_heap, RETURNS, "[disk] give it allocated memory, as a driver should")

// kern/provoke/access.c: code where there is none, data where there may be none.
#define ACCESS_TESTS(X)                                                                            \
  X(EXEC_STACK, exec_stack, STOPS, "execute the stack")                                            \
  X(EXEC_RODATA, exec_rodata, STOPS, "execute read-only data")                                     \
  X(EXEC_DATA, exec_data, STOPS, "execute data")                                                   \
  X(EXEC_KMALLOC, exec_kmalloc, STOPS, "execute allocated memory")                                 \
  X(EXEC_VMALLOC, exec_vmalloc, STOPS, "execute an allocated area")                                \
  X(EXEC_NULL, exec_null, STOPS, "call a null pointer")                                            \
  X(EXEC_USERSPACE, exec_userspace, STOPS, "execute user code in the kernel")                      \
  X(ACCESS_NULL, access_null, STOPS, "[ACCESS [N]] use a null pointer, offset N")                  \
  X(ACCESS_USERSPACE, access_userspace, STOPS, "[ACCESS] reach user memory without the user copy") \
  X(VMALLOC_LINEAR_OVERFLOW, overflow_vmalloc, STOPS, "store behind an allocated area")            \
  X(WRITE_RO, write_ro, STOPS, "[direct] store to read-only data")                                 \
  X(WRITE_KERN, write_kern, STOPS, "[direct] store to kernel code")                                \
  X(UNMAPPED, unmapped, STOPS, "[ACCESS] use an address that nothing is mapped at")                \
  X(ILLEGAL, illegal, STOPS, "execute an illegal instruction")                                     \
  X(BREAKPOINT, breakpoint, STOPS, "execute ebreak")                                               \
  X(PANIC, panic, STOPS, "panic")                                                                  \
  X(VM_CHECK, vm_check, RETURNS,                                                                   \
    "[guard|above|exec|user|alias|root|table|emergency]\n"                                         \
    "                           spoil and check the address space")

// kern/provoke/hang.c: what waits for too long (docs/hangs.md).
#define HANG_TESTS(X)                                                                              \
  X(SPINLOCKUP, spinlockup, STOPS, "wait for a spin lock that is never released")                  \
  X(HARDLOCKUP, hardlockup, STOPS, "loop with interrupts off")                                     \
  X(SOFTLOCKUP, softlockup, STOPS, "loop where a thread is not preempted")                         \
  X(HUNG_TASK, hung_task, RETURNS, "[N] let two threads wait for each other, look on for N s")

// kern/provoke/bench.c and where.c: what stacks cost; another test, elsewhere.
#define OTHER_TESTS(X)                                                                             \
  X(BENCH_STACK, bench_stack, RETURNS, "count the instructions that stacks take")                  \
  X(IN_INTERRUPT, in_interrupt, RETURNS, "TEST... run the test in an interrupt handler")           \
  X(ON_HART, on_hart, RETURNS, "N TEST... run the test on that hart")                              \
  X(SPARE, spare, RETURNS, "N TEST... run the test with N spare pages on this hart")

// kern/provoke/kasan.c: what KASAN=y finds.
#if KASAN
#define KASAN_TESTS(X)                                                                             \
  X(KASAN_STACK, kasan_stack, STOPS, "[write] use the byte behind a local variable")               \
  X(KASAN_GLOBAL, kasan_global, STOPS, "[write] use the byte behind a global variable")            \
  X(KASAN_HEAP, kasan_heap, STOPS, "[write] use the byte behind an object")                        \
  X(KASAN_BLOCK, kasan_block, STOPS, "[write] the same of nearly a page, another behind it")       \
  X(KASAN_HEAP_FREED, kasan_heap_freed, STOPS, "[write] use an object that was freed")             \
  X(KASAN_HEAP_DRAINED, kasan_heap_drained, STOPS, "[write] the same once its page is free")       \
  X(KASAN_FREE_TWICE, kasan_free_twice, STOPS, "free an object twice")                             \
  X(KASAN_FREE_INSIDE, kasan_free_inside, STOPS, "free what is inside a block")                    \
  X(KASAN_FREE_STATIC, kasan_free_static, STOPS, "free what was never allocated")                  \
  X(KASAN_PAGE_TWICE, kasan_page_twice, STOPS, "free a page twice")                                \
  X(KASAN_AREA_TWICE, kasan_area_twice, STOPS, "free an area twice")                               \
  X(KASAN_PAGE_FREED, kasan_page_freed, STOPS, "[write] use a page that was freed")                \
  X(KASAN_VMALLOC, kasan_vmalloc, STOPS, "[write] use the byte behind an area")                    \
  X(KASAN_VMALLOC_FREED, kasan_vmalloc_freed, STOPS, "[write] use an area that was freed")         \
  X(KASAN_WILD, kasan_wild, STOPS, "[write] use an area that never was")                           \
  X(KASAN_CALL, kasan_call, STOPS, "FUNCTION have it use one byte more than an object has")        \
  X(KASAN_STACK_FREED, kasan_stack_freed, STOPS, "[write] use a variable of a thread that ended")  \
  X(KASAN_STACK_UNOWNED, kasan_stack_unowned, STOPS,                                               \
    "[write] the same once its stack is unmapped")                                                 \
  X(KASAN_EXHAUST, kasan_exhaust, STOPS, "recurse in checked code until the stack is gone")        \
  X(KASAN_GUARD, kasan_guard, STOPS, "[write] reach this stack's guard in checked code")           \
  X(KASAN_NULL, kasan_null, STOPS, "[write] use a null pointer in checked code")                   \
  X(KASAN_JUMP, kasan_jump, RETURNS, "leave checked frames by a jump, use their stack again")
#else
#define KASAN_TESTS(X)
#endif

// kern/provoke/hang.c: what LOCKDEP=y finds.
#if LOCKDEP
#define LOCKDEP_TESTS(X)                                                                           \
  X(LOCK_ORDER, lock_order, STOPS, "[sleep|ring|back|same] take locks in one order and another")   \
  X(LOCK_SLEEP, lock_sleep, STOPS, "[yield] sleep with a spin lock held")                          \
  X(LOCK_INTERRUPT, lock_interrupt, STOPS, "[early] let interrupts in with a spin lock held")
#else
#define LOCKDEP_TESTS(X)
#endif

#define TESTS(X)                                                                                   \
  EXHAUST_TESTS(X)                                                                                 \
  SP_TESTS(X)                                                                                      \
  FRAME_TESTS(X)                                                                                   \
  STACK_TESTS(X)                                                                                   \
  LIFE_TESTS(X)                                                                                    \
  ROOM_TESTS(X)                                                                                    \
  BUFFER_TESTS(X)                                                                                  \
  ACCESS_TESTS(X)                                                                                  \
  HANG_TESTS(X)                                                                                    \
  OTHER_TESTS(X)                                                                                   \
  KASAN_TESTS(X)                                                                                   \
  LOCKDEP_TESTS(X)

#define DECLARE_TEST(name, function, outcome, help) void provoke_##function(char *words[]);
TESTS(DECLARE_TEST)
#undef DECLARE_TEST

// Return the first of two areas, one behind the other, or 0.  They are kept, since a test may not
// come back to free them.
uint64 vmalloc_pair(void);
