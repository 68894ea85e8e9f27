// SPDX-License-Identifier: MIT
//
// A stack's life: made and not made, taken and given back in interrupt handlers, handed on.
#include "kern/provoke/tests.h"

#include "kern/dev/irq.h"
#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/print.h"
#include "kern/lib/sbi.h"
#include "kern/provoke/faults.h"
#include "kern/provoke/words.h"
#include "kern/sched/ready.h"
#include "kern/sched/switch.h"
#include "kern/sched/thread.h"
#include "vm/kmalloc.h"
#include "vm/kstack.h"
#include "vm/page.h"

#define ROUNDS 2000  // of interrupts to all harts
#define FEW    3     // more than a hart's cache holds

#define LARGE_FRAME (FRAME_MAX - 24)  // bytes; the compiler adds some

// --- threads -------------------------------------------------------------------------------------

// Which allocation is to fail.  A process that ends may leave this behind: its number does not come
// back soon.
static struct {
  int pid;
  uint64 left;  // counted down to it; 0: none
} failing;

static bool alloc_fails(void) {
  return failing.left > 0 && failing.pid == thread_current()->pid && --failing.left == 0;
}

void provoke_fail_alloc(char *words[]) {
  failing.pid = thread_current()->pid;
  failing.left = word_number(words[0], 0);
  page_fail_hook = alloc_fails;
}

static void end_thread(void *done) {
  provoke_here();
  store_release((uint32 *)done, 1);
  thread_exit();
}

void provoke_make_thread(char *words[]) {
  (void)words;
  uint32 *done = kzalloc(sizeof(*done));
  struct thread *t = done ? thread_create("made", 0, end_thread, done) : NULL;
  if (t)
    thread_ready(t);
  while (t && !load_acquire(done))
    thread_yield();
  kfree(done);
}

// --- interrupt handlers --------------------------------------------------------------------------

static struct {
  uint64 wanted;  // [a] stacks that the next handler takes, at once
  uint64 calls;   // [a] handlers run
  bool failed;    // [a]
} in_irq;

// Where a stack of a chain has the next one: at the top, which is used first and erased first.
static struct kstack **link_of(const struct kstack *stack) {
  return (struct kstack **)(stack->lo + KSTACK_SIZE) - 1;
}

// Take n stacks at once and give them back.  Returns how many there were.
static uint64 take_and_give(uint64 n) {
  struct kstack *chain = NULL, *stack;
  uint64 taken = 0;
  for (; taken < n && (stack = kstack_alloc(0, "chain", STACK_INTERRUPT, &account_root)); taken++) {
    *link_of(stack) = chain;
    chain = stack;
  }
  while ((stack = chain)) {
    chain = *link_of(stack);
    kstack_free(stack);
  }
  return taken;
}

static void handler(void) {
  uint64 n = atomic_swap(&in_irq.wanted, FEW);
  if (this_hart()->irq_depth == 0 || hart_held() || take_and_give(n) == 0)
    store_relaxed(&in_irq.failed, true);
  fetch_add(&in_irq.calls, 1);
}

// Interrupt every hart, while this thread takes and gives stacks too.
static void interrupt_all(void) {
  for (uint32 i = 0; i < hart_count; i++)
    if (load_acquire(&harts[i].online))
      sbi_send_ipi(harts[i].id);
  take_and_give(FEW);
}

void provoke_stack_irq(char *words[]) {
  in_irq.calls = 0;
  in_irq.failed = false;
  store_relaxed(&in_irq.wanted, word_number(words[0], FEW));
  store_release(&irq_software_test, handler);
  csr_set(sip, SIE_SSIE);  // the first one here and now
  for (uint32 i = 0; i < ROUNDS; i++)
    interrupt_all();
  store_release(&irq_software_test, NULL);
  if (load_relaxed(&in_irq.failed) || load_relaxed(&in_irq.calls) == 0)
    kprintf("FAIL: no stack in an interrupt handler, or none ran\n");
  else
    kprintf("provoke: stacks in %lu interrupt handlers\n", load_relaxed(&in_irq.calls));
}

// --- what is left on a stack ---------------------------------------------------------------------

// Leave n bytes of secret below frames that are nearly as large as the compiler allows, and nearly
// unused.  Not static, so that each call has its frame.
uint64 secret_below(uint64 depth, uint64 n);

__attribute__((noinline)) uint64 secret_below(uint64 depth, uint64 n) {
  volatile uint8 local[LARGE_FRAME];
  local[0] = depth;
  if (depth == 0)
    provoke_secret(n);
  else
    secret_below(depth - 1, n);
  return local[0];
}

void provoke_stack_secret(char *words[]) {
  uint64 n = ROUND_UP(word_number(words[0], 1024), 16);
  uint64 depth = word_number(words[0] ? words[1] : NULL, 0) * 1024 / FRAME_MAX;
  if (depth == 0)
    provoke_secret(n);
  else
    secret_below(depth - 1, n);
}

void provoke_stray_secret(char *words[]) {
  provoke_secret_far(thread_current()->kstack->lo + ROUND_UP(word_number(words[0], 2048), 16), 256);
}

// --- from one thread to the next -----------------------------------------------------------------

// What a thread leaves.
static struct {
  uint64 used;  // bytes of stack
  uint32 hart;  // where it ended
  bool ended;   // [a]
} last;

static void use_and_end(void *unused) {
  (void)unused;
  provoke_secret(last.used);
  irq_off();
  last.hart = this_hart()->index;
  store_release(&last.ended, true);
  thread_exit();
}

// Let a thread run to its end.  Returns its stack, which is free by then, or NULL.
static struct kstack *stack_of_ended(void) {
  store_relaxed(&last.ended, false);
  struct thread *t = thread_create("ended", 0, use_and_end, NULL);
  if (!t)
    return NULL;
  struct kstack *stack = t->kstack;
  thread_place(t, this_hart());
  while (!load_acquire(&last.ended))
    thread_yield();
  return stack;
}

static uint64 words_used(const struct kstack *stack) {
  uint64 n = 0;
  for (const uint64 *p = (const uint64 *)kstack_mapped(stack); (uint64)p < stack->lo + KSTACK_SIZE;)
    n += *p++ != 0;
  return n;
}

// Interrupts stay off here, and the thread turns them off before it says that it ends.  So if it
// ended on this hart, no other thread has run in between.
void provoke_reuse_stack(char *words[]) {
  last.used = ROUND_UP(word_number(words[0], 1024), 16);
  irq_t irq = irq_save();
  struct kstack *dead = stack_of_ended();
  bool here = dead && last.hart == this_hart()->index;
  bool live = dead && load_relaxed(&dead->kind) != 0;
  struct kstack *next = kstack_alloc(0, "next", STACK_THREAD, &account_root);
  uint64 left = next ? words_used(next) : 0;
  irq_restore(irq);
  if (!here)
    kprintf("FAIL: the thread ended on another hart\n");
  else if (live || next != dead)
    kprintf("FAIL: the stack of the thread that ended is not there for the next one\n");
  else if (left)
    kprintf("FAIL: the stack has %lu words of its last owner's\n", left);
  else
    kprintf("provoke: a stack went from one thread to the next, all zeros\n");
  if (next)
    kstack_free(next);
}
