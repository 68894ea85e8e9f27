// SPDX-License-Identifier: MIT
//
// Spin locks for sources that a host test includes: a thread of the host is a hart, and a lock's
// owner is the thread.  Included before those sources.
#pragma once

#include <sched.h>

#include "kern/lib/types.h"

typedef uint64 irq_t;
#include "kern/lib/hart.h"
#include "kern/lib/spinlock.h"
#include "test/host/check.h"

static __thread uint32 held;  // spin locks this thread holds; its address stands for the thread
static uint32 yield_every;    // [a] nonzero: give way before every n-th lock, to find races

void spin_init(struct spinlock *l, const char *name) {
  *l = (struct spinlock){.name = name};
}

bool spin_holding(const struct spinlock *l) {
  return __atomic_load_n(&l->owner, __ATOMIC_RELAXED) == (struct hart *)(void *)&held;
}

irq_t spin_lock(struct spinlock *l) {
  static __thread uint32 locks;
  CHECK(!spin_holding(l));
  if (yield_every && ++locks % yield_every == 0)
    sched_yield();
  while (__atomic_exchange_n(&l->taken, 1, __ATOMIC_ACQUIRE))
    sched_yield();
  __atomic_store_n(&l->owner, (struct hart *)(void *)&held, __ATOMIC_RELAXED);
  held++;
  return 0;
}

bool spin_trylock(struct spinlock *l, irq_t *irq) {
  *irq = 0;
  if (__atomic_exchange_n(&l->taken, 1, __ATOMIC_ACQUIRE))
    return false;
  __atomic_store_n(&l->owner, (struct hart *)(void *)&held, __ATOMIC_RELAXED);
  held++;
  return true;
}

void spin_unlock_irq_off(struct spinlock *l) {
  CHECK(spin_holding(l));
  held--;
  __atomic_store_n(&l->owner, NULL, __ATOMIC_RELAXED);
  __atomic_store_n(&l->taken, 0, __ATOMIC_RELEASE);
}

void spin_unlock(struct spinlock *l, irq_t irq) {
  (void)irq;
  spin_unlock_irq_off(l);
}
