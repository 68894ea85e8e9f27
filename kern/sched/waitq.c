// SPDX-License-Identifier: MIT
//
// Wait queues: the node is in the thread, never on its stack, so a waker that comes while the
// sleeper's stack is gone from this hart touches only the heap.
#include "kern/sched/waitq.h"
#include "kern/lib/hart.h"
#include "kern/sched/thread.h"

void waitq_init(struct waitq *q) {
  list_init(&q->waiters);
}

static int waitq_block(struct waitq *q, struct spinlock *lock, bool interruptible) {
  struct thread *t = thread_current();
  list_push_back(&q->waiters, &t->wait_node);
  int error = thread_block(lock, interruptible);
  if (list_empty(&t->wait_node))
    return 0;  // a waker chose this thread: its wake-up is used even if a kill came as well
  list_remove(&t->wait_node);
  return error;
}

int waitq_sleep(struct waitq *q, struct spinlock *lock) {
  return waitq_block(q, lock, true);
}

void waitq_sleep_through(struct waitq *q, struct spinlock *lock) {
  waitq_block(q, lock, false);
}

void waitq_wake_one(struct waitq *q) {
  struct list *node = list_pop_front(&q->waiters);
  if (node != NULL)
    thread_ready(list_entry(node, struct thread, wait_node));
}

void waitq_wake_all(struct waitq *q) {
  while (!list_empty(&q->waiters))
    waitq_wake_one(q);
}
