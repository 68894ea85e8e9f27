// SPDX-License-Identifier: MIT
//
// LOCKDEP=y: learn in which order locks are taken, and check it (docs/hangs.md).  Without it all of
// this is nothing.  The locks of one name are one class.
#pragma once

#include "kern/lib/types.h"

struct spinlock;

#if LOCKDEP

// In a spin lock: its class, 0 until it is known, and where it was taken.
#define LOCKDEP_LOCK uint64 class, taken_at

// This hart is about to wait for l, which it does not by trylock; has taken l; has released one and
// will restore the interrupt state irq.  Holds: interrupts off.
void lockdep_spin(struct spinlock *l, uint64 irq);
void lockdep_taken(struct spinlock *l);
void lockdep_restores(uint64 irq);

// A sleep lock of the second name is about to be taken, with one of the first held.
void lockdep_order(const char *held, const char *taken);

// The running thread is about to wait, and no spin lock but l, or none if that is null, is held.
void lockdep_waits(const struct spinlock *l);

// The running thread, which holds those sleep locks, is about to take l.
#define lockdep_sleep(l, locks)                                                                    \
  do {                                                                                             \
    lockdep_waits(NULL);                                                                           \
    for (const __typeof__(*(l)) *held_ = (locks); held_; held_ = held_->held_next)                 \
      lockdep_order(held_->guard.name, (l)->guard.name);                                           \
  } while (0)

#else

#define LOCKDEP_LOCK
#define lockdep_spin(l, irq)    ((void)0)
#define lockdep_taken(l)        ((void)0)
#define lockdep_restores(irq)   ((void)0)
#define lockdep_sleep(l, locks) ((void)0)
#define lockdep_waits(l)        ((void)0)

#endif
