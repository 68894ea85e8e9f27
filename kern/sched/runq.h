// SPDX-License-Identifier: MIT
//
// Run queues, for the rest of kern/sched.  One a hart: the threads ready to run there.
//
// I1. Everything but count is guarded by the lock; count is also read without it, as a hint.
// I2. One run-queue lock is held at a time, after any other lock.
#pragma once

#include "kern/lib/hart.h"
#include "kern/lib/spinlock.h"
#include "kern/sched/thread.h"

// [I] fixed after boot  [s] lock
struct runqueue {
  struct spinlock lock;
  struct list ready;    // [s] threads, by run_node
  uint32 count;         // [s] of them
  struct hart *hart;    // [I]
  struct thread *dead;  // [s] left this hart for good; the next thread frees it
  struct thread idle;   // [I] runs when there is nothing to run; never on a list
};

// What thread_switch pops, lowest first.
struct switch_frame {
  uint64 s[12];
  uint64 ra;
  uint64 pad;  // keeps sp a multiple of 16
};

extern struct runqueue runqueues[HART_MAX];

// Return the queue of this hart.  Holds: interrupts off.
static inline struct runqueue *runq_mine(void) {
  return &runqueues[this_hart()->index];
}

// Lock the queue of this hart, or the one that guards t.
struct runqueue *runq_lock(irq_t *irq);
struct runqueue *runq_lock_of(const struct thread *t, irq_t *irq);

// Append t, which becomes ready; take the first one, or NULL.  Holds: q->lock.
void runq_push(struct runqueue *q, struct thread *t);
struct thread *runq_pop(struct runqueue *q);

// Hand t, which is on no queue, to h.  Holds: the lock of the queue that guarded t until now.
void runq_move(struct thread *t, struct hart *h);

// Leave the running thread, whose state says why, for the next one.  Holds: q->lock of this hart,
// and no other.  Returns when the thread runs again, maybe on another hart, the lock released and
// interrupts off.
void runq_switch(struct runqueue *q);

// Let another thread run if there is one.  Called and returns like runq_switch.
void runq_yield(struct runqueue *q);

// Return the queue on which a thread that last was on last should wait.  Holds: interrupts off.
struct runqueue *idle_place(struct runqueue *last);

// Wake q's hart if it waits.  After a push on q; holds: interrupts off.
void idle_notify(struct runqueue *q);

// Hand a thread of q, this hart's queue, to an idle hart; if all are busy, take over one from a
// longer queue.  From the timer interrupt.
void idle_balance(struct runqueue *q);

// Save what t leaves in the floating-point registers.  Holds: interrupts off.
void fpu_leave(struct thread *t);
