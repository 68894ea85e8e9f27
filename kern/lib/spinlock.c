// SPDX-License-Identifier: MIT
//
// Spin locks: the invariants are in spinlock.h.
//
// The lock is one word, and whoever swaps a 1 into it first has it.  A queue (tickets) would be
// fairer, but where there are more harts than host processors, the next in line is often one that
// the host has put aside, and all wait for it: measured 17 times slower with 4 harts on 2.
#include "kern/lib/spinlock.h"
#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/panic.h"

void spin_init(struct spinlock *l, const char *name) {
  *l = (struct spinlock)SPINLOCK_INIT(name);
}

static inline bool spin_try(struct spinlock *l) {
  return !__atomic_exchange_n(&l->taken, 1, __ATOMIC_ACQUIRE);
}

static inline void spin_taken(struct spinlock *l, struct hart *h) {
  l->held_next = h->held;
  h->held = l;
  store_relaxed(&l->owner, h);
}

// The rare ends of spin_lock, apart, so that its common way saves no registers.

static __attribute__((noinline)) irq_t spin_wait(struct spinlock *l, irq_t state) {
  do {
    while (load_relaxed(&l->taken))
      panic_poll();
  } while (!spin_try(l));
  spin_taken(l, this_hart());
  return state;
}

static __attribute__((noinline)) _Noreturn void spin_again(const struct spinlock *l) {
  panic("hart %u takes the lock \"%s\" that it holds", this_hart()->index, l->name);
}

irq_t spin_lock(struct spinlock *l) {
  irq_t state = irq_save();
  struct hart *h = this_hart();
  if (load_relaxed(&l->owner) == h)
    spin_again(l);
  if (!spin_try(l))
    return spin_wait(l, state);
  spin_taken(l, h);
  return state;
}

bool spin_trylock(struct spinlock *l, irq_t *state) {
  *state = irq_save();
  if (spin_try(l)) {
    spin_taken(l, this_hart());
    return true;
  }
  irq_restore(*state);
  return false;
}

void spin_unlock(struct spinlock *l, irq_t state) {
  struct hart *h = this_hart();
  assert(l->owner == h);
  struct spinlock **link = &h->held;
  while (*link != l)
    link = &(*link)->held_next;
  *link = l->held_next;
  store_relaxed(&l->owner, (struct hart *)NULL);
  store_release(&l->taken, 0);
  irq_restore(state);
}

bool spin_holding(const struct spinlock *l) {
  irq_t state = irq_save();
  bool holding = load_relaxed(&l->owner) == this_hart();
  irq_restore(state);
  return holding;
}
