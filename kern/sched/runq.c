// SPDX-License-Identifier: MIT
//
// Run queues and the switch.
//
// S1. The lock of this hart's queue is held from before the old thread's state changes until the
//     new thread runs, so nobody finds a thread whose registers are not on its stack yet.
// S2. Interrupts are off across the switch; the state a thread had is a value on its own stack.
// S3. After thread_switch the hart may be another one: everything of the hart is looked up again.
#include "kern/sched/runq.h"
#include "kern/lib/atomic.h"
#include "kern/lib/string.h"
#include "vm/kmalloc.h"
#include "vm/pagetable.h"
#include "vm/space.h"
#include "vm/tlb.h"

// Push prev's registers, make next the running thread and its stack the record, pop next's.
// Implemented by: kern/sched/switch.S.
void thread_switch(struct thread *prev, struct thread *next);

// The rest of a new thread's way to its start function; switch.S calls it.
_Noreturn void thread_begin(void);

struct runqueue runqueues[HART_MAX];
void (*thread_slice_hook)(void);  // [I]
static uint64 kernel_satp;        // [I]

struct runqueue *runq_lock(irq_t *irq) {
  *irq = irq_save();
  struct runqueue *q = runq_mine();
  spin_lock(&q->lock);
  return q;
}

struct runqueue *runq_lock_of(const struct thread *t, irq_t *irq) {
  for (;;) {
    struct hart *h = load_acquire(&t->hart);
    struct runqueue *q = &runqueues[h->index];
    *irq = spin_lock(&q->lock);
    if (load_relaxed(&t->hart) == h)
      return q;
    spin_unlock(&q->lock, *irq);
  }
}

void runq_push(struct runqueue *q, struct thread *t) {
  store_relaxed(&t->state, THREAD_READY);
  list_push_back(&q->ready, &t->run_node);
  store_relaxed(&q->count, q->count + 1);
}

struct thread *runq_pop(struct runqueue *q) {
  struct list *node = list_pop_front(&q->ready);
  if (node == NULL)
    return NULL;
  store_relaxed(&q->count, q->count - 1);
  return list_entry(node, struct thread, run_node);
}

void runq_move(struct thread *t, struct hart *h) {
  store_relaxed(&t->state, THREAD_READY);
  t->moved = true;
  store_release(&t->hart, h);
}

static void enter_space(struct hart *h, struct space *space) {
  h->space = space;
  tlb_switch(space != NULL ? space_satp(space) : kernel_satp);
}

// Make this hart ready for next: nothing of prev is left in it but what switch.S saves.
static void prepare(struct runqueue *q, struct thread *prev, struct thread *next) {
  struct hart *h = q->hart;
  assert(h->held == &q->lock && q->lock.held_next == NULL);
  assert(next != prev && next->hart == h);
  if (prev->fpu != NULL)
    fpu_leave(prev);
  tlb_catch_up(next->stack_area->generation);
  assert(h->fence_generation >= next->stack_area->generation);
  assert(next->sp - next->stack_lo < next->stack_hi - next->stack_lo);
  if (next->moved) {
    asm volatile("fence.i" : : : "memory");
    next->moved = false;
  }
  enter_space(h, next->space);
  store_relaxed(&next->state, THREAD_RUNNING);
  h->need_resched = false;
}

// Finish the switch by which the running thread came back.
static void thread_switched(void) {
  struct runqueue *q = runq_mine();
  struct thread *dead = q->dead;
  q->dead = NULL;
  spin_unlock(&q->lock, 0);
  if (dead != NULL)
    thread_discard(dead);
}

void runq_switch(struct runqueue *q) {
  struct thread *prev = thread_current();
  struct thread *next = runq_pop(q);
  if (next == NULL)
    next = &q->idle;
  prepare(q, prev, next);
  thread_switch(prev, next);
  thread_switched();
}

void runq_yield(struct runqueue *q) {
  struct thread *t = thread_current();
  if (q->count == 0) {
    spin_unlock(&q->lock, 0);
    return;
  }
  if (t == &q->idle)
    store_relaxed(&t->state, THREAD_READY);
  else
    runq_push(q, t);
  runq_switch(q);
}

void thread_yield(void) {
  irq_t irq;
  runq_yield(runq_lock(&irq));
  irq_restore(irq);
}

void thread_preempt(void) {
  if (this_hart()->need_resched)
    thread_yield();
}

bool thread_tick(void) {
  struct runqueue *q = runq_mine();
  panic_poll();
  idle_balance(q);
  q->hart->need_resched = load_relaxed(&q->count) != 0;
  return q->hart->need_resched || q->hart->current != &q->idle;
}

void thread_set_space(struct space *space) {
  irq_t irq = irq_save();
  thread_current()->space = space;
  asm volatile("fence.i" : : : "memory");
  enter_space(this_hart(), space);
  irq_restore(irq);
}

void thread_begin(void) {
  thread_switched();
  struct thread *t = thread_current();
  // A child's frame is a copy of its parent's, but the registers are not the child's yet.
  thread_user_frame(t)->sstatus &= ~(uint64)SSTATUS_FS;
  irq_on();
  t->start(t->arg);
  panic("thread %s returned from its start function", t->name);
}

void thread_init_hart(void) {
  irq_t irq = irq_save();
  struct hart *h = this_hart();
  struct thread *t = &runqueues[h->index].idle;
  t->stack_lo = h->stack_lo;
  t->stack_hi = h->stack_hi;
  t->stack_area = vmalloc_find(&vmalloc_stacks, h->stack_lo);
  assert(t->stack_area != NULL);
  t->state = THREAD_RUNNING;
  t->hart = h;
  list_init(&t->run_node);
  list_init(&t->wait_node);
  string_copy(t->name, "idle", sizeof(t->name));
  kstack_watch(t->stack_area, &t->sp, &t->hart);
  h->current = t;
  irq_restore(irq);
}

void thread_init(void) {
  kernel_satp = pagetable_satp(kernel_pagetable);
  for (uint32 i = 0; i < hart_count; i++) {
    spin_init(&runqueues[i].lock, "run queue");
    list_init(&runqueues[i].ready);
    runqueues[i].hart = &harts[i];
  }
  thread_init_hart();
}
