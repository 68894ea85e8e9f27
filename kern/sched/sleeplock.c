// SPDX-License-Identifier: MIT
//
// Sleep locks: an owner, guarded by a spin lock, and a wait queue.
#include "kern/sched/sleeplock.h"

#include "kern/lib/hart.h"
#include "kern/lib/panic.h"
#include "kern/sched/watch.h"

void sleep_init(struct sleeplock *l, const char *name) {
  spin_init(&l->guard, name);
  waitq_init(&l->waiters, &l->guard);
  l->owner = NULL;
}

static __attribute__((noinline)) void wait_for(struct sleeplock *l, struct thread *t) {
  watch_wait(t, l);
  while (l->owner)
    waitq_sleep_through(&l->waiters);
  watch_wait_over(t);
}

void sleep_lock(struct sleeplock *l) {
  lockdep_sleep(l, thread_current()->locks);
  assert(!hart_held());
  struct thread *t = thread_current();
  irq_t irq = spin_lock(&l->guard);
  assert(l->owner != t);
  if (l->owner)
    wait_for(l, t);
  l->owner = t;
  l->held_next = t->locks;
  t->locks = l;
  t->sleeplocks++;
  spin_unlock(&l->guard, irq);
}

void sleep_unlock(struct sleeplock *l) {
  struct thread *t = thread_current();
  irq_t irq = spin_lock(&l->guard);
  assert(l->owner == t);
  struct sleeplock **link = &t->locks;
  while (*link != l)
    link = &(*link)->held_next;
  *link = l->held_next;
  l->owner = NULL;
  thread_let_go(t);
  if (!list_empty(&l->waiters.waiters))
    waitq_wake_one(&l->waiters);
  spin_unlock(&l->guard, irq);
}
