// SPDX-License-Identifier: MIT
//
// Wait queues: the node is in the thread, never on its stack, so a waker touches only the heap.
#include "kern/sched/waitq.h"

#include "kern/lib/hart.h"
#include "kern/sched/ready.h"
#include "kern/sched/switch.h"

void waitq_init(struct waitq *q, struct spinlock *lock) {
  *q = (struct waitq)WAITQ_INIT((*q), *lock);
}

static inline int waitq_block(struct waitq *q, bool interruptible) {
  list_push_back(&q->waiters, &thread_current()->wait_node);
  int err = thread_block(q->lock, interruptible);  // asserts that the lock is held
  struct list *node = &thread_current()->wait_node;
  if (list_empty(node))
    return 0;  // a waker chose this thread: its wake-up is used even if a kill came as well
  list_remove(node);
  return err;
}

int waitq_sleep(struct waitq *q) {
  return waitq_block(q, true);
}

void waitq_sleep_through(struct waitq *q) {
  waitq_block(q, false);
}

void waitq_wake_one(struct waitq *q) {
  assert(spin_holding(q->lock));
  struct list *node = list_pop_front(&q->waiters);
  if (node)
    thread_ready(list_entry(node, struct thread, wait_node));
}

void waitq_wake_all(struct waitq *q) {
  assert(spin_holding(q->lock));
  for (struct list *node; (node = list_pop_front(&q->waiters));)
    thread_ready(list_entry(node, struct thread, wait_node));
}
