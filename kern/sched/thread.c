// SPDX-License-Identifier: MIT
//
// Threads made and freed.
#include "kern/sched/thread.h"

#include "kern/lib/string.h"
#include "kern/sched/held.h"
#include "kern/sched/runq.h"
#include "vm/kmalloc.h"

// Where a new thread's first switch goes.  Implemented by: kern/sched/switch.S.
void thread_entry(void);

// Lay out t's stack, which is all zeros: the user frame's room, and what the first switch pops.
static void thread_stack_prepare(struct thread *t) {
  struct trap_frame *user = thread_user_frame(t);
  struct switch_frame *frame = (struct switch_frame *)user - 1;
  frame->ra = (uint64)thread_entry;
  t->sp = (uint64)frame;
}

struct thread *thread_create(const char *name, int pid, void (*start)(void *), void *arg) {
  struct thread *t = held_alloc(HELD_OBJECT, sizeof(*t));
  if (!t)
    return NULL;
  memset(t, 0, offsetof(struct thread, fpu));
  struct account *account = pid ? thread_current()->kstack->account : &account_root;
  uint64 room = pid ? thread_room(thread_current()) : KSTACK_SIZE;
  t->kstack = kstack_alloc(pid, name, room == KSTACK_SIZE ? STACK_THREAD : STACK_SHORT, account);
  if (!t->kstack)
    return NULL;
  held_pop(HELD_OBJECT, t);
  t->stack_lo = kstack_mapped(t->kstack);
  t->stack_hi = t->kstack->lo + (room < 512 ? 512 : room);  // its first frames must fit
  if (room != KSTACK_SIZE)
    kstack_distrust(t->kstack);  // zeros are above what is used (kstack_cache.c, I4)
  t->state = THREAD_NEW;
  t->moved = true;
  list_init(&t->run_node);
  list_init(&t->wait_node);
  t->pid = pid;
  string_copy(t->name, name, sizeof(t->name));
  t->start = start;
  t->arg = arg;
  thread_stack_prepare(t);
  t->hart = thread_current()->hart;
  kstack_set_thread(t->kstack, &t->sp, &t->hart);
  return t;
}

void thread_free(struct thread *t) {
  assert(list_empty(&t->run_node) && list_empty(&t->wait_node));
  kstack_free(t->kstack);
  kfree(t);
}
