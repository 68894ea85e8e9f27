// SPDX-License-Identifier: MIT
//
// Bad accesses that only KASAN=y finds, since they hit mapped memory; and two that guards find too.
// The compiler checks this file alone of the room.
#include "kern/provoke/tests.h"

#include "kern/dev/timer.h"
#include "kern/lib/atomic.h"
#include "kern/lib/print.h"
#include "kern/lib/string.h"
#include "kern/provoke/words.h"
#include "kern/sched/ready.h"
#include "kern/sched/switch.h"
#include "kern/sched/thread.h"
#include "vm/check.h"
#include "vm/dma.h"
#include "vm/kmalloc.h"
#include "vm/kstack.h"
#include "vm/page.h"
#include "vm/usercopy.h"
#include "vm/vmalloc.h"

#define VARIABLE 20    // bytes, no multiple of 8
#define LARGE    1400  // a frame of nearly FRAME_MAX bytes
#define PIECE    32    // bytes, as the compiler puts between them
#define DEPTH    4
#define OBJECT   45    // bytes, no multiple of 8
#define BLOCK    4090  // bytes, no multiple of 8, nearly a page
#define AREA     5000  // bytes, no multiple of a page

static uint8 variable[VARIABLE];
static uint64 address;        // of a local variable of the thread that
static struct kstack *stack;  // runs on this stack
static uint32 ended;          // [a] it is about to

void provoke_kasan_access(char *words[], volatile uint8 *p);

// Access a byte of p as the words say: [write].  Not inlined: reports name it.
__attribute__((noinline)) void provoke_kasan_access(char *words[], volatile uint8 *p) {
  if (word_is(words[0], "write"))
    *p = 1;
  else
    (void)*p;
}

void provoke_kasan_stack(char *words[]) {
  volatile uint8 local[VARIABLE] = {0};
  provoke_kasan_access(words, local + VARIABLE);
}

void provoke_kasan_global(char *words[]) {
  provoke_kasan_access(words, variable + VARIABLE);
}

void provoke_kasan_heap(char *words[]) {
  uint8 *object = kmalloc(OBJECT);
  if (object)
    provoke_kasan_access(words, object + OBJECT);
  kfree(object);
}

void provoke_kasan_block(char *words[]) {
  uint8 *block = kmalloc(BLOCK);
  void *behind = page_alloc();
  if (block)
    provoke_kasan_access(words, block + BLOCK);
  kfree(block);
  page_put(behind);
}

void provoke_kasan_heap_drained(char *words[]) {
  uint8 *object = kmalloc(OBJECT);
  kfree(object);
  kasan_drain();
  if (object)
    provoke_kasan_access(words, object);
}

void provoke_kasan_heap_freed(char *words[]) {
  uint8 *object = kmalloc(OBJECT);
  kfree(object);
  if (object)
    provoke_kasan_access(words, object);
}

void provoke_kasan_free_twice(char *words[]) {
  (void)words;
  uint8 *object = kmalloc(OBJECT);
  kfree(object);
  kfree(object);
}

void provoke_kasan_free_inside(char *words[]) {
  (void)words;
  uint8 *block = kmalloc(2 * PAGE_SIZE);
  if (block)
    kfree(block + PAGE_SIZE);
}

void provoke_kasan_free_static(char *words[]) {
  (void)words;
  kfree(variable);
}

void provoke_kasan_page_twice(char *words[]) {
  (void)words;
  uint8 *page = page_alloc();
  if (!page)
    return;
  page_put(page);
  page_put(page);
}

void provoke_kasan_area_twice(char *words[]) {
  (void)words;
  struct vm_area *a = vmalloc_range(&vmalloc_general, AREA);
  if (!a)
    return;
  vmalloc_free(a);
  vmalloc_free(a);
}

void provoke_kasan_page_freed(char *words[]) {
  uint8 *page = page_alloc();
  if (!page)
    return;
  page_put(page);
  provoke_kasan_access(words, page);
}

void provoke_kasan_vmalloc(char *words[]) {
  struct vm_area *a = vmalloc_range(&vmalloc_general, AREA);
  if (!a)
    return;
  provoke_kasan_access(words, (uint8 *)a->base + AREA);
  vmalloc_free(a);
}

void provoke_kasan_vmalloc_freed(char *words[]) {
  struct vm_area *a = vmalloc_range(&vmalloc_general, AREA);
  if (!a)
    return;
  vmalloc_free(a);
  provoke_kasan_access(words, (uint8 *)a->base);
}

void provoke_kasan_wild(char *words[]) {
  const struct vmalloc_arena *arena = &vmalloc_general;
  provoke_kasan_access(words, (uint8 *)arena->base + ((arena->granules.count - 1) << arena->shift));
}

// The compiler does not check the library, the user copy, page_zero() and dma_map(); they check
// what their callers give them.
void provoke_kasan_call(char *words[]) {
  char *p = kmalloc(OBJECT), same[OBJECT + 1];
  if (!p || !words[0])
    return;
  memset(p, 'a', OBJECT);
  memset(same, 'a', sizeof(same));
  if (word_is(words[0], "memset"))
    memset(p, 0, OBJECT + 1);
  else if (word_is(words[0], "memcmp"))
    memcmp(p, same, OBJECT + 1);
  else if (word_is(words[0], "strncmp"))
    strncmp(p, same, OBJECT + 1);
  else if (word_is(words[0], "strnlen"))
    strnlen(p, OBJECT + 1);
  else if (word_is(words[0], "ksnprintf"))
    ksnprintf(p, OBJECT + 1, "%s", "");
  else if (word_is(words[0], "copy_to_user"))
    copy_to_user(frame_reg(thread_user_frame(thread_current()), REG_SP), p, OBJECT + 1);
  else if (word_is(words[0], "copy_string_from_user"))
    copy_string_from_user(p, 0, OBJECT + 1);
  else if (word_is(words[0], "page_zero"))
    page_zero(p);
  else if (word_is(words[0], "dma_map"))
    dma_map(p, OBJECT + 1);
}

static void leave_address(void *arg) {
  (void)arg;
  volatile uint8 local = 0;
  address = (uint64)&local;
  stack = thread_current()->kstack;
  store_release(&ended, 1);
  thread_exit();
}

// Let a thread leave the address of a local variable, and end.  Returns whether it did.
static bool dead_thread(void) {
  struct thread *t = thread_create("gone", 0, leave_address, NULL);
  if (!t)
    return false;
  store_release(&ended, 0);
  thread_ready(t);
  while (!load_acquire(&ended) || load_acquire(&stack->kind))
    timer_sleep(1);
  return true;
}

void provoke_kasan_stack_freed(char *words[]) {
  if (dead_thread())
    provoke_kasan_access(words, (uint8 *)address);
}

void provoke_kasan_stack_unowned(char *words[]) {
  if (!dead_thread())
    return;
  kstack_drain();
  vmalloc_drain();
  vm_check();
  provoke_kasan_access(words, (uint8 *)address);
}

// Large checked frames without end.  Not static, so that reports name it.
uint64 provoke_kasan_recurse(uint64 n);

__attribute__((noinline)) uint64 provoke_kasan_recurse(uint64 n) {
  volatile uint8 local[LARGE];
  local[n % LARGE] = n;
  if (n == 0)
    return 0;
  return provoke_kasan_recurse(n - 1) + local[n % LARGE];
}

void provoke_kasan_exhaust(char *words[]) {
  (void)words;
  provoke_kasan_recurse(1000000);
}

void provoke_kasan_guard(char *words[]) {
  provoke_kasan_access(words, (uint8 *)thread_current()->kstack->lo - 8);
}

void provoke_kasan_null(char *words[]) {
  provoke_kasan_access(words, NULL);
}

// Poison every other piece of much of the stack, and leave by a jump.
__attribute__((noinline)) static _Noreturn void jump_from(void *back[], char *words[], int depth) {
  volatile uint8 a[PIECE], b[PIECE], c[PIECE], d[PIECE];
  provoke_kasan_access(words, a);
  provoke_kasan_access(words, b);
  provoke_kasan_access(words, c);
  provoke_kasan_access(words, d);
  if (depth > 0)
    jump_from(back, words, depth - 1);
  __builtin_longjmp(back, 1);
}

__attribute__((noinline)) static void use_stack(char *words[]) {
  volatile uint8 local[LARGE];
  for (uint32 i = 0; i < LARGE; i++)
    provoke_kasan_access(words, local + i);
}

void provoke_kasan_jump(char *words[]) {
  static void *back[5];
  if (__builtin_setjmp(back) == 0)
    jump_from(back, words, DEPTH);
  use_stack(words);
}
