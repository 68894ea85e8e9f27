// SPDX-License-Identifier: MIT
//
// Wait queues: condition variables whose condition is guarded by the caller's spin lock.
#pragma once

#include "kern/lib/list.h"
#include "kern/lib/spinlock.h"

// [l] lock
struct waitq {
  struct list waiters;    // [l] threads, by wait_node
  struct spinlock *lock;  // [l] the caller's, once a thread has slept here
};

#define WAITQ_INIT(name)                                                                           \
  { .waiters = LIST_INIT(name.waiters), .lock = NULL }

void waitq_init(struct waitq *q);

// Sleep on q until woken.  lock guards q; it is released during the sleep.  Returns 0, or -EINTR
// when the thread was killed.  Check the condition again in a loop.  Holds: lock, and no other spin
// lock.
int waitq_sleep(struct waitq *q, struct spinlock *lock);

// The same, but a kill does not end the sleep.
void waitq_sleep_through(struct waitq *q, struct spinlock *lock);

// Wake the first, or all.  Holds: the lock that guards q.
void waitq_wake_one(struct waitq *q);
void waitq_wake_all(struct waitq *q);
