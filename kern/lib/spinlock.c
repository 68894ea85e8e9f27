// SPDX-License-Identifier: MIT
//
// Spin locks: the invariants are in spinlock.h.
//
// The lock is one word, and the hart that first swaps a 1 into it has the lock.  A queue (tickets)
// would be fairer.  But where there are more harts than host processors, the host has often put the
// next hart in line aside, and all others wait for it: measured 17 times slower with 4 harts on 2.
#include "kern/lib/spinlock.h"

#include "kern/lib/panic.h"

void spin_init(struct spinlock *l, const char *name) {
  *l = (struct spinlock)SPINLOCK_INIT(name);
}

void spin_wait(struct spinlock *l) {
  if (load_relaxed(&l->owner) == this_hart())
    panic("hart %u takes the lock \"%s\" that it holds", this_hart()->index, l->name);
  do {
    while (load_relaxed(&l->taken))
      panic_poll();
  } while (!spin_try(l));
}

void spin_unlink(struct spinlock *l) {
  struct spinlock **link = &this_hart()->held;
  while (*link != l)
    link = &(*link)->held_next;
  *link = l->held_next;
}

void spin_not_held(const struct spinlock *l) {
  irq_off();
  panic("hart %u releases the lock \"%s\" that it does not hold", this_hart()->index, l->name);
}
