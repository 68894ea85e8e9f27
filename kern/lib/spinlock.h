// SPDX-License-Identifier: MIT
//
// Spin locks.
//
// I1. A hart that holds a spin lock has its interrupts off.
// I2. Every lock held by a hart is on that hart's list, so a fault handler can tell.
// I3. Taking is acquire, releasing is release (RISC-V unprivileged 8.2).
//
// The common paths are inline: a call would cost as much again.  Host tests bring their own.
#pragma once

#include "kern/lib/atomic.h"
#include "kern/lib/csr.h"
#include "kern/lib/hart.h"
#include "kern/lib/lockdep.h"
#include "kern/lib/types.h"

// [I] fixed after spin_init  [h] the hart that holds the lock  [a] atomic
struct spinlock {
  uint64 taken;                // [a] 1: a hart holds it; a word, which a swap need not extend
  struct hart *owner;          // [a] that hart, or null
  struct spinlock *held_next;  // [h] next on its list
  const char *name;            // [I]
  LOCKDEP_LOCK;                // [h]
};

#define SPINLOCK_INIT(lock_name)                                                                   \
  { .name = lock_name }

#if __riscv
#define SPIN_INLINE static inline
#else
#define SPIN_INLINE
#endif

void spin_init(struct spinlock *l, const char *name);

// Turn interrupts off and take the lock.  Returns the interrupt state for spin_unlock.
// Panics when this hart holds it already.
SPIN_INLINE irq_t spin_lock(struct spinlock *l);

// Take the lock if it is free, interrupts off from then on.  Returns whether it was taken.
SPIN_INLINE bool spin_trylock(struct spinlock *l, irq_t *irq);

// Release the lock and restore the interrupt state.  Locks may be released in any order; the last
// release restores the state from before the first lock.
SPIN_INLINE void spin_unlock(struct spinlock *l, irq_t irq);

// Release the lock and leave interrupts off.
SPIN_INLINE void spin_unlock_irq_off(struct spinlock *l);

// Return whether this hart holds the lock.  Exact with interrupts off.  With interrupts on the hart
// holds no lock; then the answer is wrong only if the thread moves away just here from a hart that
// held it, so an assert may miss a mistake but never makes one up.
SPIN_INLINE bool spin_holding(const struct spinlock *l);

// The rare paths of the functions above: wait for a lock, or panic when this hart holds it; take a
// lock off the middle of the list of those held, or panic when it is not there.
void spin_wait(struct spinlock *l);
void spin_unlink(struct spinlock *l);

#if __riscv

static inline bool spin_try(struct spinlock *l) {
  return !__atomic_exchange_n(&l->taken, 1, __ATOMIC_ACQUIRE);
}

static inline void spin_taken(struct spinlock *l) {
  l->held_next = hart_held();
  HART_STORE("sd", held, l);
  asm volatile("sd tp, %0" : "=m"(l->owner));
  lockdep_taken(l);
}

static inline irq_t spin_lock(struct spinlock *l) {
  irq_t irq = irq_save();
  lockdep_spin(l, irq);
  if (__builtin_expect(!spin_try(l), 0))
    spin_wait(l);
  spin_taken(l);
  return irq;
}

static inline bool spin_trylock(struct spinlock *l, irq_t *irq) {
  *irq = irq_save();
  if (spin_try(l)) {
    spin_taken(l);
    return true;
  }
  irq_restore(*irq);
  return false;
}

// Release a lock that is off the list of those held.
static inline void spin_free(struct spinlock *l) {
  store_relaxed(&l->owner, NULL);
  store_release(&l->taken, 0);
}

static inline void spin_unlock_irq_off(struct spinlock *l) {
  if (__builtin_expect(hart_held() == l, 1))
    HART_STORE("sd", held, l->held_next);
  else
    spin_unlink(l);
  spin_free(l);
}

static inline void spin_unlock(struct spinlock *l, irq_t irq) {
  spin_unlock_irq_off(l);
  lockdep_restores(irq);
  irq_restore(irq);
}

static inline bool spin_holding(const struct spinlock *l) {
  return load_relaxed(&l->owner) == this_hart_unchecked();
}

#endif
