// SPDX-License-Identifier: MIT
//
// Wait queues: the node is in the thread, never on its stack, so a waker touches only the heap.
#include "kern/sched/waitq.h"

#include "kern/lib/hart.h"
#include "kern/sched/ready.h"
#include "kern/sched/switch.h"

void waitq_init(struct waitq *q) {
  *q = (struct waitq)WAITQ_INIT((*q));
}

static int waitq_block(struct waitq *q, struct spinlock *lock, bool interruptible) {
  struct thread *t = thread_current();
  assert(spin_holding(lock));
  q->lock = lock;
  list_push_back(&q->waiters, &t->wait_node);
  int err = thread_block(lock, interruptible);
  if (list_empty(&t->wait_node))
    return 0;  // a waker chose this thread: its wake-up is used even if a kill came as well
  list_remove(&t->wait_node);
  return err;
}

int waitq_sleep(struct waitq *q, struct spinlock *lock) {
  return waitq_block(q, lock, true);
}

void waitq_sleep_through(struct waitq *q, struct spinlock *lock) {
  waitq_block(q, lock, false);
}

void waitq_wake_one(struct waitq *q) {
  assert(!q->lock || spin_holding(q->lock));
  struct list *node = list_pop_front(&q->waiters);
  if (node)
    thread_ready(list_entry(node, struct thread, wait_node));
}

void waitq_wake_all(struct waitq *q) {
  while (!list_empty(&q->waiters))
    waitq_wake_one(q);
}
