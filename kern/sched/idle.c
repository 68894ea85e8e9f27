// SPDX-License-Identifier: MIT
//
// Idle harts: sleeping in wfi, being woken for a ready thread, stealing one from a busy hart.
//
// I1. A hart enters its bit in idle_mask, then looks at all queues, then waits.  A waker pushes
//     its thread, then looks at idle_mask.  With a full fence between the two steps on both sides,
//     one of them sees the other, so no thread stays queued while a hart sleeps.
// I2. Whoever clears a hart's bit but the hart itself sends it an interrupt.  Each thread made
//     ready wakes at most one hart, and one IPI at most is under way to a hart.
// I3. A waiting hart has interrupts off; wfi ends for a pending one all the same (RISC-V privileged
//     3.3.3), so what becomes pending after the look at the queues still ends the wait.
#include "kern/lib/atomic.h"
#include "kern/lib/sbi.h"
#include "kern/sched/runq.h"

static uint64 idle_mask;  // [a] harts that wait, or are about to, one bit by index

_Static_assert(HART_MAX <= 64, "idle_mask has a bit for each hart");

static uint64 idle_bit(const struct hart *h) {
  return 1UL << h->index;
}

// Wake h if nobody else has.
static void idle_claim(struct hart *h) {
  if (fetch_and(&idle_mask, ~idle_bit(h)) & idle_bit(h))
    sbi_send_ipi(h->id);
}

void idle_notify(struct runqueue *q) {
  // The idle thread looks at its own queue before it waits: it needs no help for a single thread.
  bool own = q->hart->current == &q->idle && q->count == 1;
  spin_unlock(&q->lock, 0);
  fence_all();
  uint64 idle = load_relaxed(&idle_mask);
  if (own)
    idle &= idle_bit(q->hart);
  if (idle != 0)
    idle_claim(&harts[__builtin_ctzl(idle)]);
}

// Move a ready thread from another hart's queue to this hart.  Returns it, on no queue, or NULL.
static struct thread *idle_steal(struct hart *h) {
  for (uint32 i = 1; i < hart_count; i++) {
    struct runqueue *q = &runqueues[(h->index + i) % hart_count];
    if (load_relaxed(&q->count) == 0)
      continue;
    spin_lock(&q->lock);
    struct thread *t = runq_pop(q);
    if (t != NULL) {
      store_release(&t->hart, h);
      t->moved = true;
    }
    spin_unlock(&q->lock, 0);
    if (t != NULL)
      return t;
  }
  return NULL;
}

// Run what is ready here or elsewhere, until there is nothing.
static void idle_run(struct runqueue *q) {
  struct thread *t = load_relaxed(&q->count) == 0 ? idle_steal(q->hart) : NULL;
  if (t == NULL && load_relaxed(&q->count) == 0)
    return;
  if (thread_slice_hook != NULL)
    thread_slice_hook();
  spin_lock(&q->lock);
  if (t != NULL)
    runq_push(q, t);
  runq_yield(q);
}

static bool idle_anything_ready(void) {
  for (uint32 i = 0; i < hart_count; i++)
    if (load_relaxed(&runqueues[i].count) != 0)
      return true;
  return false;
}

static void idle_wait(struct hart *h) {
  panic_poll();
  fetch_or(&idle_mask, idle_bit(h));
  fence_all();
  if (!idle_anything_ready())
    asm volatile("wfi" : : : "memory");
  fetch_and(&idle_mask, ~idle_bit(h));
}

void thread_idle(void) {
  irq_off();
  struct hart *h = this_hart();  // an idle thread never moves
  for (;;) {
    idle_run(&runqueues[h->index]);
    idle_wait(h);
    irq_on();
    irq_off();
  }
}
