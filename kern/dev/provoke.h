// SPDX-License-Identifier: MIT
//
// The device crash: faults on request; device major 64.
//
// Reading it lists the tests.  Writing "NAME [ARGUMENTS]" runs that test in the kernel, in the
// writer's context.  Tests that Linux's lkdtm has too bear the same names.
#pragma once

#include "kern/lib/types.h"

// Register the device.  Boot hart.
void provoke_init(void);

// Return the number that a word of a command is, or fallback when there is none.
uint64 provoke_number(const char *word, uint64 fallback);

// The tests of kern/dev/provoke_life.c.
void provoke_stack_irq(char *words[]);
void provoke_reuse_stack(char *words[]);
void provoke_stack_secret(char *words[]);
void provoke_stray_secret(char *words[]);

// The test BENCH_STACK.  Implemented by: kern/dev/provoke_bench.c.
void provoke_bench_stack(char *words[]);

// Tests of what KASAN=y finds: X(NAME, help, function, whether it returns).  Implemented by:
// kern/dev/provoke_kasan.c.
#define KASAN_TESTS(X)                                                                             \
  X(KASAN_STACK, "[write] use the byte behind a local variable", stack, false)                     \
  X(KASAN_GLOBAL, "[write] use the byte behind a global variable", global, false)                  \
  X(KASAN_HEAP, "[write] use the byte behind an object", heap, false)                              \
  X(KASAN_BLOCK, "[write] likewise of nearly a page, with another behind it", block, false)        \
  X(KASAN_HEAP_FREED, "[write] use an object that was freed", heap_freed, false)                   \
  X(KASAN_HEAP_DRAINED, "[write] likewise, and whose page is free", heap_drained, false)           \
  X(KASAN_FREE_TWICE, "free an object twice", free_twice, false)                                   \
  X(KASAN_FREE_INSIDE, "free what is inside a block", free_inside, false)                          \
  X(KASAN_FREE_STATIC, "free what was never allocated", free_static, false)                        \
  X(KASAN_PAGE_TWICE, "free a page twice", page_twice, false)                                      \
  X(KASAN_AREA_TWICE, "free an area twice", area_twice, false)                                     \
  X(KASAN_PAGE_FREED, "[write] use a page that was freed", page_freed, false)                      \
  X(KASAN_VMALLOC, "[write] use the byte behind an area", vmalloc, false)                          \
  X(KASAN_VMALLOC_FREED, "[write] use an area that was freed", vmalloc_freed, false)               \
  X(KASAN_WILD, "[write] use an area that never was", wild, false)                                 \
  X(KASAN_CALL, "FUNCTION have it use one byte more than an object has", call, false)              \
  X(KASAN_STACK_FREED, "[write] use a variable of a thread that has ended", stack_freed, false)    \
  X(KASAN_STACK_UNOWNED, "[write] likewise, once its stack is unmapped", stack_unowned, false)     \
  X(KASAN_EXHAUST, "recurse in checked code until the stack is gone", exhaust, false)              \
  X(KASAN_GUARD, "[write] reach this stack's guard in checked code", guard, false)                 \
  X(KASAN_NULL, "[write] use a null pointer in checked code", null, false)                         \
  X(KASAN_JUMP, "leave checked frames by a jump, use their stack again", jump, true)

#define KASAN_DECLARE(name, help, function, returns) void provoke_kasan_##function(char *words[]);
KASAN_TESTS(KASAN_DECLARE)
