// SPDX-License-Identifier: MIT
//
// Sleep locks: mutual exclusion that may be held across a sleep.
#pragma once

#include "kern/lib/atomic.h"
#include "kern/lib/spinlock.h"
#include "kern/sched/thread.h"
#include "kern/sched/waitq.h"

// [g] guard  [o] only the owner
struct sleeplock {
  struct spinlock guard;
  struct waitq waiters;         // [g]
  struct thread *owner;         // [g] null: free
  struct sleeplock *held_next;  // [o] the next that the owner holds
};

// Return the sleep lock that t waits for, or NULL.
static inline struct sleeplock *sleep_wanted(const struct thread *t) {
  return t->wants_sleeplock ? CONTAINER_OF(t->waits, struct sleeplock, guard) : NULL;
}

void sleep_init(struct sleeplock *l, const char *name);

// Take the lock, sleeping as needed, which a kill does not end.  Thread context.  Holds: no spin
// lock.
void sleep_lock(struct sleeplock *l);

// Release the lock.  Holds: l.
void sleep_unlock(struct sleeplock *l);

// Return whether the running thread holds the lock.
static inline bool sleep_holding(const struct sleeplock *l) {
  // No lock: only the running thread itself makes this true or false.
  return load_relaxed(&l->owner) == thread_current();
}
