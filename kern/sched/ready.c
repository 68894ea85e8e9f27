// SPDX-License-Identifier: MIT
//
// Placing ready threads on harts, waking idle harts, balancing.
//
// I1. A hart enters its bit in idle_mask, then looks at its queue, then waits.  A waker pushes its
//     thread, then looks at idle_mask.  With a full fence between the two steps on both sides, one
//     of them sees the other, so no thread waits on the queue of a hart that sleeps.
// I2. A hart that clears another hart's bit sends it an IPI, so at most one is in flight to it.
// I3. A waiting hart has interrupts off; wfi ends for a pending one all the same (RISC-V privileged
//     3.3.3), so what becomes pending after the look at the queue still ends the wait.
// I4. A single thread made ready by the running thread of a busy hart waits there, because wakers
//     tend to sleep soon (a pipe, fork and wait), and two switches cost less than an interrupt.
//     At the next tick it is handed to an idle hart.
#include "kern/sched/ready.h"

#include "kern/lib/atomic.h"
#include "kern/lib/sbi.h"
#include "kern/lib/string.h"
#include "kern/sched/runq.h"
#include "kern/sched/sleeplock.h"
#include "kern/sched/switch.h"

static uint64 idle_mask;  // [a] harts that wait, or are about to, one bit by index

_Static_assert(HART_MAX <= 64, "idle_mask has a bit for each hart");

static uint64 idle_bit(const struct runqueue *q) {
  return 1UL << q->hart->index;
}

// t has moved: release q's lock and lock the queue it is on now.
static __attribute__((noinline)) struct runqueue *follow(const struct thread *t,
                                                         struct runqueue *q) {
  do {
    spin_unlock_irq_off(&q->lock);
    q = load_relaxed(&t->hart)->queue;
    spin_lock(&q->lock);
  } while (load_acquire(&t->hart) != q->hart);
  return q;
}

// Lock the queue that guards t.
// The second look is an acquire: t may just have come from another hart, under that one's lock.
static inline struct runqueue *lock_of(const struct thread *t, irq_t *irq) {
  struct runqueue *q = load_relaxed(&t->hart)->queue;
  *irq = spin_lock(&q->lock);
  return __builtin_expect(load_acquire(&t->hart) == q->hart, 1) ? q : follow(t, q);
}

void thread_describe_wait(const struct thread *t, struct thread_wait *wait) {
  irq_t irq, off;
  struct runqueue *q = lock_of(t, &irq);  // now it stays asleep, so what it waits for stays, too
  struct sleeplock *l = sleep_wanted(t);
  wait->lock = t->state == THREAD_SLEEPING ? t->waits->name : NULL;
  wait->owner[0] = 0;
  if (wait->lock && l && spin_trylock(&l->guard, &off)) {  // no lock comes after the queue's
    wait->owner_pid = l->owner ? l->owner->pid : 0;
    string_copy(wait->owner, l->owner ? l->owner->name : "", sizeof(wait->owner));
    spin_unlock_irq_off(&l->guard);
  }
  spin_unlock(&q->lock, irq);
}

// Return the queue on which a thread that last was on last should wait.
static inline struct runqueue *choose(struct runqueue *last) {
  struct runqueue *mine = hart_queue();
  if (runq_is_idle(mine) || (mine->count == 0 && mine->hart->irq_depth == 0))  // I4
    return mine;
  uint64 idle = load_relaxed(&idle_mask);
  if (idle == 0 || (idle & idle_bit(last)))
    return last;
  return harts[__builtin_ctzl(idle)].queue;
}

// Move t from from to to, whose lock is held on return instead.
static void move(struct thread *t, struct runqueue *from, struct runqueue *to) {
  store_relaxed(&t->state, THREAD_READY);
  t->moved = true;
  store_release(&t->hart, to->hart);
  spin_unlock_irq_off(&from->lock);
  spin_lock(&to->lock);
}

// Wake the hart of q, to which a thread was pushed, if it waits.
static void wake_hart(const struct runqueue *q) {
  fence_all();  // I1
  uint64 bit = idle_bit(q);
  if ((load_relaxed(&idle_mask) & bit) && (fetch_and(&idle_mask, ~bit) & bit))
    sbi_send_ipi(q->hart->id);
}

// Make t, which is on no queue, ready on to, and wake that hart if it waits.  Holds: from->lock,
// which guards t; its release here checks that it was held.
static inline void make_ready(struct thread *t, struct runqueue *from, struct runqueue *to) {
  if (to != from)
    move(t, from, to);
  runq_push(to, t);
  spin_unlock_irq_off(&to->lock);
  if (to != hart_queue())
    wake_hart(to);
}

// Make t ready if it is new or asleep: on h, or where choose() says if h is null.  A kill wakes it
// only from an interruptible sleep.
static inline __attribute__((always_inline)) void thread_wake(struct thread *t,
                                                              const struct hart *h, bool kill) {
  irq_t irq;
  struct runqueue *q = lock_of(t, &irq);
  bool waits = t->state == THREAD_SLEEPING || t->state == THREAD_NEW;
  if (kill)
    store_relaxed(&t->killed, true);
  if (waits && (!kill || (t->state == THREAD_SLEEPING && !t->sleeps_through)))
    make_ready(t, q, h ? h->queue : choose(q));
  else
    spin_unlock_irq_off(&q->lock);
  irq_restore(irq);
}

void thread_ready(struct thread *t) {
  thread_wake(t, NULL, false);
}

void thread_place(struct thread *t, struct hart *h) {
  thread_wake(t, h, false);
}

void thread_kill(struct thread *t) {
  thread_wake(t, NULL, true);
}

// Hand the first thread of from to to, if from has more than load.  Returns whether it did.
static bool hand_over_thread(struct runqueue *from, struct runqueue *to, uint32 load) {
  if (load_relaxed(&from->count) <= load)
    return false;
  spin_lock(&from->lock);
  struct thread *t = runq_pop(from);
  if (t)
    make_ready(t, from, to);
  else
    spin_unlock_irq_off(&from->lock);
  return t;
}

static void steal(struct runqueue *mine, uint32 load) {
  for (uint32 i = 1; i < hart_count; i++)
    if (hand_over_thread(harts[(mine->hart->index + i) % hart_count].queue, mine, load))
      break;
}

void runq_balance(struct runqueue *q) {
  uint64 idle = load_relaxed(&idle_mask);
  if (runq_is_idle(q))
    steal(q, 0);
  else if (idle != 0)
    hand_over_thread(q, harts[__builtin_ctzl(idle)].queue, 0);
  else
    steal(q, load_relaxed(&q->count) + 1);
}

void thread_idle(void) {
  struct runqueue *q = hart_queue();  // an idle thread never moves
  uint64 bit = idle_bit(q);
  for (;;) {
    if (load_relaxed(&q->count) == 0)
      steal(q, 1);  // I4
    if (load_relaxed(&q->count) != 0) {
      thread_start_slices();
      spin_lock(&q->lock);
      runq_yield(q);
    }
    panic_poll();
    kstack_refill();
    fetch_or(&idle_mask, bit);
    fence_all();  // I1
    if (load_relaxed(&q->count) == 0)
      wait_for_interrupt();
    fetch_and(&idle_mask, ~bit);
    irq_on();
    irq_off();
  }
}
