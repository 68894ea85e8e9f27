// SPDX-License-Identifier: MIT
//
// Spin locks.
//
// I1. A hart that holds a spin lock has its interrupts off.
// I2. Every lock held by a hart is on that hart's list, so a fault handler can tell.
// I3. Taking is acquire, releasing is release (RISC-V unprivileged 8.2).
#pragma once

#include "kern/lib/csr.h"
#include "kern/lib/types.h"

struct hart;

struct spinlock {
  uint32 taken;                // [a] 1: somebody holds it
  struct hart *owner;          // [a] hart that holds it, or null
  struct spinlock *held_next;  // [h] next on the holder's list
  const char *name;            // [I]
};

#define SPINLOCK_INIT(lock_name)                                                                   \
  { .name = lock_name }

void spin_init(struct spinlock *l, const char *name);

// Turn interrupts off and take the lock.  Returns the interrupt state for spin_unlock.
// Panics when this hart holds it already.
irq_t spin_lock(struct spinlock *l);

// Take the lock if it is free, interrupts off from then on.  Returns whether it was taken.
bool spin_trylock(struct spinlock *l, irq_t *state);

// Release the lock and restore the interrupt state.  Locks may be released in any order; whoever
// releases the last restores the state from before the first.
void spin_unlock(struct spinlock *l, irq_t state);

// Return whether this hart holds the lock.
bool spin_holding(const struct spinlock *l);
