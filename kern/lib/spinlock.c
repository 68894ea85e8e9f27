// SPDX-License-Identifier: MIT
#include "kern/lib/spinlock.h"
#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/panic.h"

void spin_init(struct spinlock *l, const char *name) {
  *l = (struct spinlock)SPINLOCK_INIT(name);
}

static inline void spin_taken(struct spinlock *l, struct hart *h) {
  l->held_next = h->held;
  h->held = l;
  store_relaxed(&l->owner, h);
}

// The rare ends of spin_lock, apart, so that its common way saves no registers.

static __attribute__((noinline)) irq_t spin_wait(struct spinlock *l, uint32 ticket, irq_t state) {
  while (load_acquire(&l->serving) != ticket)
    panic_poll();
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
  uint32 ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
  if (load_acquire(&l->serving) != ticket)
    return spin_wait(l, ticket, state);
  spin_taken(l, h);
  return state;
}

bool spin_trylock(struct spinlock *l, irq_t *state) {
  *state = irq_save();
  uint32 ticket = load_relaxed(&l->serving);
  if (__atomic_compare_exchange_n(&l->next, &(uint32){ticket}, ticket + 1, false, __ATOMIC_ACQUIRE,
                                  __ATOMIC_RELAXED)) {
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
  store_release(&l->serving, l->serving + 1);
  irq_restore(state);
}

bool spin_holding(const struct spinlock *l) {
  irq_t state = irq_save();
  bool holding = load_relaxed(&l->owner) == this_hart();
  irq_restore(state);
  return holding;
}
