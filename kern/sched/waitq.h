// SPDX-License-Identifier: MIT
//
// Wait queues: condition variables.  The spin lock that guards the condition guards the queue too.
#pragma once

#include "kern/lib/list.h"
#include "kern/lib/spinlock.h"

// [I] fixed after waitq_init  [l] lock
struct waitq {
  struct list waiters;    // [l] threads, by wait_node
  struct spinlock *lock;  // [I]
};

#define WAITQ_INIT(name, its_lock)                                                                 \
  { .waiters = LIST_INIT(name.waiters), .lock = &(its_lock) }

void waitq_init(struct waitq *q, struct spinlock *lock);

// Sleep on q until woken.  Its lock is released during the sleep.  Returns 0, or -EINTR when the
// thread was killed.  Check the condition again in a loop.  Holds: q->lock, and no other spin lock.
int waitq_sleep(struct waitq *q);

// The same, but a kill does not end the sleep.
void waitq_sleep_through(struct waitq *q);

// Wake the first, or all.  Holds: q->lock.
void waitq_wake_one(struct waitq *q);
void waitq_wake_all(struct waitq *q);
