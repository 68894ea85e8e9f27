// SPDX-License-Identifier: MIT
//
// Sleep locks: mutual exclusion that may be held across a sleep.
#pragma once

#include "kern/lib/spinlock.h"
#include "kern/sched/waitq.h"

struct thread;

struct sleeplock {
  struct spinlock guard;
  struct waitq waiters;  // [guard]
  struct thread *owner;  // [guard] null: free
};

void sleep_init(struct sleeplock *l, const char *name);

// Take the lock, sleeping as needed (a kill does not end it).  Process context, no spin lock held.
void sleep_lock(struct sleeplock *l);
void sleep_unlock(struct sleeplock *l);

// Return whether the running thread holds the lock.
bool sleep_holding(const struct sleeplock *l);
