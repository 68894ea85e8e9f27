// SPDX-License-Identifier: MIT
//
// Spin locks: the invariants are in spinlock.h.
//
// The lock is one word, and the hart that first swaps a 1 into it has the lock.  A queue (tickets)
// would be fairer.  But where there are more harts than host processors, the host has often put the
// next hart in line aside, and all others wait for it: measured 17 times slower with 4 harts on 2.
#include "kern/lib/spinlock.h"

#include "kern/lib/hang.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"

#define SPINS 256  // between two looks at the time

void spin_init(struct spinlock *l, const char *name) {
  *l = (struct spinlock)SPINLOCK_INIT(name);
}

void spin_wait(struct spinlock *l) {
  struct hart *h = this_hart();
  if (load_relaxed(&l->owner) == h)
    panic("hart %u takes the lock \"%s\" that it holds", h->index, l->name);
  uint64 waited = 0, excused = 0, before = csr_read(time), step = machine.timebase / 100;
  store_relaxed(&h->wanted, l);
  do {
    for (uint32 n = 1; load_relaxed(&l->taken); n++) {
      panic_poll();
      if (n % SPINS != 0)
        continue;
      uint64 now = csr_read(time), excuses = load_relaxed(&hang_excuses);
      waited = excuses != excused ? 0 : waited + (now - before < step ? now - before : step);
      before = now;  // it may have jumped
      excused = excuses;
      if (hang_limit && waited > hang_limit)
        hang_report(HANG_SPIN, h, NULL);
    }
  } while (!spin_try(l));
  store_relaxed(&h->wanted, (struct spinlock *)NULL);
}

void spin_unlink(struct spinlock *l) {
  struct hart *h = this_hart_unchecked();
  if (load_relaxed(&l->owner) != h)
    panic("hart %u releases the lock \"%s\" that it does not hold", h->index, l->name);
  struct spinlock **link = &h->held;
  while (*link != l)
    link = &(*link)->held_next;
  *link = l->held_next;
}
