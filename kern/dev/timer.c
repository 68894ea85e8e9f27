// SPDX-License-Identifier: MIT
//
// Time.  RISC-V Sstc (stimecmp), or SBI 6 where it is absent.
//
// Each hart has one comparator.  It is set to the end of the slice or the first sleeper's deadline,
// whichever is earlier.
//
// I1. A hart programs only its own comparator, interrupts off.
// I2. Slices begin when a hart leaves its idle thread.  One that ends in it is followed by one as
//     long as a heartbeat (kern/sched/watch.h).  So an idle hart sleeps until that ends or its next
//     sleeper is due.
// I3. A sleeper stays on the list of the hart it went to sleep on.
#include "kern/dev/timer.h"

#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/sbi.h"
#include "kern/sched/ready.h"
#include "kern/sched/switch.h"
#include "kern/sched/thread.h"
#include "kern/sched/watch.h"

#define SLICE (machine.timebase / 100)
#define TICK  (machine.timebase / 10)
#define NEVER (~0UL)

// [I] fixed after boot  [h] this hart only, interrupts off  [t] lock
struct timer {
  struct spinlock lock;
  struct list sleepers;  // [t] threads, by wait_node, the first due first
  uint64 slice_end;      // [h] NEVER: no slices
  bool short_slice;      // [h] it is one of a hart that is not idle
} __attribute__((aligned(64)));

static struct timer timers[HART_MAX];
static uint64 boot_time;  // [I]

void timer_set_comparator(uint64 time) {
  if (machine.has_sstc)
    asm volatile("csrw %0, %1" : : "i"(CSR_STIMECMP), "r"(time) : "memory");
  else
    sbi_set_timer(time);
}

static struct thread *first_sleeper(struct timer *t) {
  return list_empty(&t->sleepers) ? NULL : list_entry(t->sleepers.next, struct thread, wait_node);
}

// Program this hart's comparator.  Holds: t->lock.
static void timer_program(struct timer *t) {
  assert(spin_holding(&t->lock));
  struct thread *first = first_sleeper(t);
  uint64 due = first ? first->deadline : NEVER;
  timer_set_comparator(due < t->slice_end ? due : t->slice_end);
}

void thread_start_slices(void) {
  struct timer *t = &timers[this_hart()->index];
  if (t->short_slice)
    return;
  t->short_slice = true;
  t->slice_end = csr_read(time) + SLICE;
  irq_t irq = spin_lock(&t->lock);
  timer_program(t);
  spin_unlock(&t->lock, irq);
}

void timer_interrupt(void) {
  struct timer *t = &timers[this_hart()->index];
  uint64 time = csr_read(time);
  if (time >= t->slice_end) {
    watch_tick();
    t->short_slice = thread_tick();
    t->slice_end = t->short_slice ? time + SLICE : watch_due();
  }
  irq_t irq = spin_lock(&t->lock);
  for (struct thread *first; (first = first_sleeper(t)) && first->deadline <= time;) {
    list_remove(&first->wait_node);
    thread_ready(first);
  }
  timer_program(t);
  spin_unlock(&t->lock, irq);
}

void timer_init_hart(void) {
  struct timer *t = &timers[this_hart()->index];
  spin_init(&t->lock, "timer");
  list_init(&t->sleepers);
  t->slice_end = watch_due();
  if (boot_time == 0)
    boot_time = csr_read(time);
  timer_set_comparator(t->slice_end);
}

uint64 timer_ticks(void) {
  return (csr_read(time) - boot_time) / TICK;
}

int timer_sleep(uint32 n) {
  struct thread *me = thread_current();
  me->deadline = csr_read(time) + n * TICK;
  irq_t irq = irq_save();
  struct timer *t = &timers[this_hart()->index];
  spin_lock(&t->lock);
  struct list *at = t->sleepers.prev;
  while (at != &t->sleepers && list_entry(at, struct thread, wait_node)->deadline > me->deadline)
    at = at->prev;
  list_insert_before(at->next, &me->wait_node);
  timer_program(t);
  int err = thread_block(&t->lock, true);
  list_remove(&me->wait_node);
  spin_unlock(&t->lock, irq);
  return err;
}
