// SPDX-License-Identifier: MIT
//
// Run queues, for switch.c and ready.c.  One a hart: the threads ready to run there.
//
// I1. Everything but count is guarded by the lock; count is also read without it, as a hint.
// I2. One run-queue lock is held at a time, after any other lock.
// I3. Its release checks that it was held.  In runq_push and runq_pop, which every switch passes
//     through, an assert would be too hot.
#pragma once

#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/spinlock.h"
#include "kern/sched/thread.h"

// [I] fixed after boot  [s] lock
struct runqueue {
  struct spinlock lock;
  struct list ready;    // [s] threads, by run_node
  uint32 count;         // [s] of them
  struct hart *hart;    // [I]
  struct thread *left;  // [s] by which the next thread came here, if that has to free or wake it
  struct thread idle;   // [I] runs when there is nothing to run; never on a list
} __attribute__((aligned(64)));

// What thread_switch pops, lowest first.
struct switch_frame {
  uint64 s[12];
  uint64 ra;
  uint64 pad;  // keeps sp a multiple of 16
};

// Return whether q's hart runs its idle thread, which looks at q before it waits.
static inline bool runq_is_idle(const struct runqueue *q) {
  return load_relaxed(&q->hart->current) == &q->idle;
}

// Append t, which becomes ready.  Holds: q->lock.
static inline void runq_push(struct runqueue *q, struct thread *t) {
  store_relaxed(&t->state, THREAD_READY);
  list_push_back(&q->ready, &t->run_node);
  store_relaxed(&q->count, q->count + 1);
}

// Take the first thread, or NULL.  Holds: q->lock.
static inline struct thread *runq_pop(struct runqueue *q) {
  struct list *node = list_pop_front(&q->ready);
  if (!node)
    return NULL;
  store_relaxed(&q->count, q->count - 1);
  return list_entry(node, struct thread, run_node);
}
