// SPDX-License-Identifier: MIT
//
// Time.  RISC-V Sstc (stimecmp), or SBI 6 where it is absent.
//
// Each hart has one comparator, set to the earlier of the end of its slice and its first sleeper.
// I1. A hart programs only its own comparator, interrupts off.
// I2. A hart has slices from when it leaves its idle thread to the first slice that ends in it; an
//     idle hart sleeps until its next sleeper is due.
// I3. A sleeper is on the list of the hart it went to sleep on, wherever it runs later.
#include "kern/dev/timer.h"

#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/sbi.h"
#include "kern/sched/ready.h"
#include "kern/sched/switch.h"
#include "kern/sched/thread.h"

#define SLICE (machine.timebase / 100)
#define TICK  (machine.timebase / 10)
#define NEVER (~0UL)

// [I] fixed after boot  [h] this hart only, interrupts off  [t] lock
struct timer {
  struct spinlock lock;
  struct list sleepers;  // [t] threads, by wait_node, the first due first
  uint64 slice_end;      // [h] NEVER: no slices; 0: not started
};

static struct timer timers[HART_MAX];
static uint64 boot_time;  // [I]

static uint64 now(void) {
  return csr_read(time);
}

static void set_comparator(uint64 time) {
  if (machine.has_sstc)
    asm volatile("csrw %0, %1" : : "i"(CSR_STIMECMP), "r"(time) : "memory");
  else
    sbi_set_timer(time);
}

static struct thread *first_sleeper(struct timer *t) {
  return list_empty(&t->sleepers) ? NULL : list_entry(t->sleepers.next, struct thread, wait_node);
}

// Program this hart's comparator.  Holds: t->lock.
static void program(struct timer *t) {
  struct thread *first = first_sleeper(t);
  uint64 due = first ? first->deadline : NEVER;
  set_comparator(due < t->slice_end ? due : t->slice_end);
}

void thread_start_slices(void) {
  struct timer *t = &timers[this_hart()->index];
  if (t->slice_end != NEVER)
    return;
  t->slice_end = now() + SLICE;
  irq_t s = spin_lock(&t->lock);
  program(t);
  spin_unlock(&t->lock, s);
}

static void wake_sleepers(struct timer *t, uint64 time) {
  for (struct thread *first; (first = first_sleeper(t)) && first->deadline <= time;) {
    list_remove(&first->wait_node);
    thread_ready(first);
  }
}

void timer_interrupt(void) {
  struct timer *t = &timers[this_hart()->index];
  uint64 time = now();
  if (time >= t->slice_end)
    t->slice_end = thread_tick() ? time + SLICE : NEVER;
  irq_t s = spin_lock(&t->lock);
  wake_sleepers(t, time);
  program(t);
  spin_unlock(&t->lock, s);
}

void timer_init_hart(void) {
  struct timer *t = &timers[this_hart()->index];
  spin_init(&t->lock, "timer");
  list_init(&t->sleepers);
  t->slice_end = NEVER;
  if (boot_time == 0)
    boot_time = now();
  set_comparator(NEVER);
}

uint64 timer_ticks(void) {
  return (now() - boot_time) / TICK;
}

static void add_sleeper(struct timer *t, struct thread *sleeper) {
  struct list *at = t->sleepers.prev;
  while (at != &t->sleepers &&
         list_entry(at, struct thread, wait_node)->deadline > sleeper->deadline)
    at = at->prev;
  list_insert_before(at->next, &sleeper->wait_node);
}

int timer_sleep(uint32 n) {
  struct thread *me = thread_current();
  me->deadline = now() + n * TICK;
  irq_t s = irq_save();
  struct timer *t = &timers[this_hart()->index];
  spin_lock(&t->lock);
  add_sleeper(t, me);
  program(t);
  int err = thread_block(&t->lock, true);
  list_remove(&me->wait_node);
  spin_unlock(&t->lock, s);
  return err;
}
