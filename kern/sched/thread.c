// SPDX-License-Identifier: MIT
//
// The life of a thread: made, woken, asleep, killed, gone.  Every change of state happens under the
// lock of the run queue that guards the thread (thread.h, I5).
#include "kern/sched/thread.h"
#include "kern/lib/errno.h"
#include "kern/lib/string.h"
#include "kern/sched/runq.h"
#include "vm/kmalloc.h"

// Where a new thread's first switch goes.  Implemented by: kern/sched/switch.S.
void thread_entry(void);

// Lay out t's stack: the user frame's room, zeroed, and what the first switch pops.
static void stack_prepare(struct thread *t) {
  struct trap_frame *user = thread_user_frame(t);
  struct switch_frame *frame = (struct switch_frame *)user - 1;
  memset(frame, 0, sizeof(*frame) + sizeof(*user));
  frame->ra = (uint64)thread_entry;
  t->sp = (uint64)frame;
}

struct thread *thread_create(const char *name, int pid, void (*start)(void *), void *arg) {
  struct thread *t = kzalloc(sizeof(*t));
  if (t == NULL)
    return NULL;
  t->stack_area = kstack_alloc(pid, name, STACK_THREAD);
  if (t->stack_area == NULL) {
    kfree(t);
    return NULL;
  }
  t->stack_lo = t->stack_area->base;
  t->stack_hi = t->stack_lo + t->stack_area->size;
  t->state = THREAD_NEW;
  t->moved = true;
  list_init(&t->run_node);
  list_init(&t->wait_node);
  t->pid = pid;
  string_copy(t->name, name, sizeof(t->name));
  t->start = start;
  t->arg = arg;
  stack_prepare(t);
  irq_t irq = irq_save();
  t->hart = this_hart();
  irq_restore(irq);
  kstack_watch(t->stack_area, &t->sp, &t->hart);
  return t;
}

void thread_discard(struct thread *t) {
  assert(list_empty(&t->run_node) && list_empty(&t->wait_node));
  kstack_free(t->stack_area);
  kfree(t->fpu);
  kfree(t);
}

// Make t ready.  Holds: q->lock, which guards t and is released; interrupts stay off.
static void make_ready(struct thread *t, struct runqueue *q) {
  struct runqueue *to = idle_place(q);
  if (to != q) {
    runq_move(t, to->hart);
    spin_unlock(&q->lock, 0);
    spin_lock(&to->lock);
  }
  runq_push(to, t);
  spin_unlock(&to->lock, 0);
  idle_notify(to);
}

void thread_ready(struct thread *t) {
  irq_t irq;
  struct runqueue *q = runq_lock_of(t, &irq);
  if (t->state == THREAD_SLEEPING || t->state == THREAD_NEW)
    make_ready(t, q);
  else
    spin_unlock(&q->lock, 0);
  irq_restore(irq);
}

void thread_place(struct thread *t, struct hart *h) {
  irq_t irq;
  struct runqueue *q = runq_lock_of(t, &irq);
  if (t->state == THREAD_SLEEPING && t->hart != h) {
    store_release(&t->hart, h);
    t->moved = true;
  }
  spin_unlock(&q->lock, irq);
}

void thread_kill(struct thread *t) {
  irq_t irq;
  struct runqueue *q = runq_lock_of(t, &irq);
  store_relaxed(&t->killed, true);
  if (t->state == THREAD_SLEEPING && t->interruptible)
    make_ready(t, q);
  else
    spin_unlock(&q->lock, 0);
  irq_restore(irq);
}

int thread_block(struct spinlock *lock, bool interruptible) {
  struct thread *t = thread_current();
  irq_t irq;
  struct runqueue *q = runq_lock(&irq);
  // Under the lock that thread_kill takes: it comes before this look, or finds the thread asleep.
  if (interruptible && t->killed) {
    spin_unlock(&q->lock, irq);
    return -EINTR;
  }
  t->interruptible = interruptible;
  store_relaxed(&t->state, THREAD_SLEEPING);
  spin_unlock(lock, irq);
  runq_switch(q);
  spin_lock(lock);
  return interruptible && load_relaxed(&t->killed) ? -EINTR : 0;
}

void thread_exit(void) {
  struct thread *t = thread_current();
  assert(t->sleeplocks == 0 && !t->in_transaction && t->space == NULL);
  irq_t irq;
  struct runqueue *q = runq_lock(&irq);
  store_relaxed(&t->state, THREAD_DEAD);
  q->dead = t;
  runq_switch(q);
  panic("thread %d (%s) ran after its end", t->pid, t->name);
}
