// SPDX-License-Identifier: MIT
//
// The switch from the running thread to the next.
//
// S1. The lock of this hart's queue is held from before the old thread's state changes until the
//     new thread runs, so nobody finds a thread whose registers are not on its stack yet.
// S2. Interrupts are off across the switch; the state a thread had is a value on its own stack.
// S3. After thread_switch the hart may be another one: everything of the hart is looked up again.
#include "kern/sched/switch.h"

#include "kern/lib/atomic.h"
#include "kern/lib/errno.h"
#include "kern/lib/string.h"
#include "kern/sched/fpu.h"
#include "kern/sched/ready.h"
#include "kern/sched/runq.h"
#include "vm/pagetable.h"
#include "vm/space.h"
#include "vm/tlb.h"

// Push prev's registers, make next the running thread and its stack the record, pop next's.
// Implemented by: kern/sched/switch.S.
void thread_switch(struct thread *prev, struct thread *next);

// Finish the first switch to a thread and call its start function.  Called by switch.S.
_Noreturn void thread_begin(void);

static struct runqueue runqueues[HART_MAX];
static uint64 kernel_satp;  // [I]

static void enter_space(struct hart *h, struct space *space) {
  h->space = space;
  tlb_switch(space ? space->satp : kernel_satp);
}

// Make this hart ready for next: nothing of prev is left in it but what switch.S saves.
static void prepare(struct runqueue *q, struct thread *prev, struct thread *next) {
  struct hart *h = q->hart;
  assert(h->held == &q->lock && !q->lock.held_next);
  assert(next != prev && next->hart == h);
  assert(!(csr_read(sstatus) & (SSTATUS_SUM | SSTATUS_FS)));
  assert(h->stack_lo == prev->stack_lo && h->stack_hi == prev->stack_hi);
  assert(h->stack_floor == prev->stack_lo + sizeof(struct trap_frame));
  if (prev->fpu_used)
    fpu_leave(prev);
  if (h->fence_generation < next->kstack->generation)
    tlb_catch_up(next->kstack->generation);
  assert(h->fence_generation >= next->kstack->generation);
  assert(next->sp - next->stack_lo < next->stack_hi - next->stack_lo);
  if (next->moved) {
    fence_instructions();
    next->moved = next->doomed;
    if (next->doomed)
      thread_ask_end();
  }
  enter_space(h, next->space);
  store_relaxed(&next->state, THREAD_RUNNING);
  h->need_resched = false;
}

// Finish the switch by which the running thread came back.
static inline void finish_switch(void) {
  struct runqueue *q = hart_queue();
  struct thread *left = q->left;
  if (__builtin_expect(!!left, 0)) {
    q->left = NULL;
    if (left->state == THREAD_SLEEPING) {  // doomed after its look at killed: wake it
      runq_push(q, left);
      left = NULL;
    }
  }
  spin_unlock_irq_off(&q->lock);
  if (left)
    thread_free(left);
}

// Leave the running thread, whose state says why, for the next one.  Called and returns like
// runq_yield.
static void switch_away(struct runqueue *q) {
  struct thread *prev = thread_current();
  struct thread *next = runq_pop(q);
  if (!next)
    next = &q->idle;
  prepare(q, prev, next);
  thread_switch(prev, next);
  finish_switch();
}

void runq_yield(struct runqueue *q) {
  struct thread *t = thread_current();
  if (q->count == 0) {
    spin_unlock_irq_off(&q->lock);
    return;
  }
  if (t == &q->idle)
    store_relaxed(&t->state, THREAD_READY);
  else
    runq_push(q, t);
  switch_away(q);
}

void thread_yield(void) {
  lockdep_waits(NULL);
  assert(!hart_held());
  irq_t irq = irq_save();
  struct runqueue *q = hart_queue();
  spin_lock(&q->lock);
  runq_yield(q);
  irq_restore(irq);
}

int thread_block(struct spinlock *lock, bool interruptible) {
  lockdep_waits(lock);
  assert(hart_held() == lock);  // and no other: prepare
  struct thread *t = thread_current();
  struct runqueue *q = hart_queue();
  spin_lock(&q->lock);
  // Under the lock that thread_kill takes: it comes before this look, or finds the thread asleep.
  if (interruptible && t->killed) {
    spin_unlock_irq_off(&q->lock);
    return -EINTR;
  }
  t->sleeps_through = !interruptible;
  t->waits = lock;
  store_relaxed(&t->state, THREAD_SLEEPING);
  q->lock.held_next = lock->held_next;  // in the list of locks held, which spin_unlock would search
  spin_free(lock);
  switch_away(q);
  spin_lock(lock);
  return interruptible && load_relaxed(&thread_current()->killed) ? -EINTR : 0;
}

void thread_exit(void) {
  struct thread *t = thread_current();
  assert(!hart_held() && thread_sleeplocks(t) == 0 && !t->in_transaction && !t->space);
  assert(t->pid == 0 || !t->kstack->account);  // kstack_disown
  irq_off();
  struct runqueue *q = hart_queue();
  spin_lock(&q->lock);
  store_relaxed(&t->state, THREAD_DEAD);
  q->left = t;
  switch_away(q);
  panic("thread %d (%s) ran after its end", t->pid, t->name);
}

void thread_ask_end(void) {
  csr_set(sip, SIE_SSIE);
}

bool thread_tick(void) {
  struct runqueue *q = hart_queue();
  panic_poll();
  runq_balance(q);
  q->hart->need_resched = load_relaxed(&q->count) != 0;
  return q->hart->need_resched || !runq_is_idle(q);
}

void thread_set_space(struct space *space) {
  irq_t irq = irq_save();
  thread_current()->space = space;
  fence_instructions();
  enter_space(this_hart(), space);
  irq_restore(irq);
}

void thread_begin(void) {
  finish_switch();
  struct thread *t = thread_current();
  irq_on();
  t->start(t->arg);
  panic("thread %s returned from its start function", t->name);
}

void thread_init_hart(void) {
  struct hart *h = this_hart();
  struct thread *t = &h->queue->idle;
  assert(!irq_enabled());
  t->stack_lo = h->stack_lo;
  t->stack_hi = h->stack_hi;
  t->kstack = kstack_at(h->stack_lo);
  assert(t->kstack);
  t->state = THREAD_RUNNING;
  t->hart = h;
  list_init(&t->run_node);
  list_init(&t->wait_node);
  string_copy(t->name, "idle", sizeof(t->name));
  kstack_set_thread(t->kstack, &t->sp, &t->hart);
  h->current = t;
}

void thread_init(void) {
  kernel_satp = pagetable_satp(kernel_pagetable);
  for (uint32 i = 0; i < hart_count; i++) {
    struct runqueue *q = &runqueues[i];
    spin_init(&q->lock, "run queue");
    list_init(&q->ready);
    q->hart = &harts[i];
    harts[i].queue = q;
  }
  thread_init_hart();
}
