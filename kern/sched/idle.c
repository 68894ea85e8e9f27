// SPDX-License-Identifier: MIT
//
// Idle harts, and which hart a ready thread waits for.
//
// I1. A hart enters its bit in idle_mask, then looks at its queue, then waits.  A waker pushes its
//     thread, then looks at idle_mask.  With a full fence between the two steps on both sides, one
//     of them sees the other, so no thread waits on the queue of a hart that sleeps.
// I2. Whoever clears a hart's bit but the hart itself sends it an interrupt: one at most is under
//     way to a hart.
// I3. A waiting hart has interrupts off; wfi ends for a pending one all the same (RISC-V privileged
//     3.3.3), so what becomes pending after the look at the queue still ends the wait.
// I4. A single thread made ready by the running thread of a busy hart waits there, because wakers
//     tend to sleep soon (a pipe, fork and wait), and two switches cost less than an interrupt.
//     At the next tick it is handed to an idle hart.
#include "kern/lib/atomic.h"
#include "kern/lib/sbi.h"
#include "kern/sched/runq.h"

static uint64 idle_mask;  // [a] harts that wait, or are about to, one bit by index

_Static_assert(HART_MAX <= 64, "idle_mask has a bit for each hart");

static uint64 idle_bit(const struct hart *h) {
  return 1UL << h->index;
}

static bool is_idle(const struct runqueue *q) {
  return q->hart->current == &q->idle;
}

struct runqueue *idle_place(struct runqueue *last) {
  struct runqueue *mine = runq_mine();
  if (is_idle(mine) || (mine->count == 0 && mine->hart->irq_depth == 0))  // I4
    return mine;
  uint64 idle = load_relaxed(&idle_mask);
  if (idle == 0 || (idle & idle_bit(last->hart)))
    return last;
  return &runqueues[__builtin_ctzl(idle)];
}

void idle_notify(struct runqueue *q) {
  if (q->hart == this_hart())
    return;
  fence_all();  // I1
  uint64 bit = idle_bit(q->hart);
  if ((load_relaxed(&idle_mask) & bit) && (fetch_and(&idle_mask, ~bit) & bit))
    sbi_send_ipi(q->hart->id);
}

// Move the first thread of from, if it has more than load, to to.  Holds: no run-queue lock.
static bool move_one(struct runqueue *from, uint32 load, struct runqueue *to) {
  if (load_relaxed(&from->count) <= load)
    return false;
  spin_lock(&from->lock);
  struct thread *t = runq_pop(from);
  if (t != NULL)
    runq_move(t, to->hart);
  spin_unlock(&from->lock, 0);
  if (t == NULL)
    return false;
  spin_lock(&to->lock);
  runq_push(to, t);
  spin_unlock(&to->lock, 0);
  return true;
}

static void steal(struct runqueue *mine, uint32 load) {
  for (uint32 i = 1; i < hart_count; i++)
    if (move_one(&runqueues[(mine->hart->index + i) % hart_count], load, mine))
      break;
}

void idle_balance(struct runqueue *q) {
  uint64 idle = load_relaxed(&idle_mask);
  if (idle == 0 || is_idle(q)) {
    steal(q, load_relaxed(&q->count) + !is_idle(q));
    return;
  }
  struct runqueue *to = &runqueues[__builtin_ctzl(idle)];
  if (move_one(q, 0, to))
    idle_notify(to);
}

static void idle_wait(struct runqueue *q) {
  uint64 bit = idle_bit(q->hart);
  panic_poll();
  fetch_or(&idle_mask, bit);
  fence_all();  // I1
  if (load_relaxed(&q->count) == 0)
    asm volatile("wfi" : : : "memory");
  fetch_and(&idle_mask, ~bit);
}

static void leave(struct runqueue *q) {
  if (thread_slice_hook != NULL)
    thread_slice_hook();
  spin_lock(&q->lock);
  runq_yield(q);
}

void thread_idle(void) {
  irq_off();
  struct runqueue *q = runq_mine();  // an idle thread never moves
  for (;;) {
    if (load_relaxed(&q->count) == 0)
      steal(q, 1);  // I4
    if (load_relaxed(&q->count) != 0)
      leave(q);
    idle_wait(q);
    irq_on();
    irq_off();
  }
}
