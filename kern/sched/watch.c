// SPDX-License-Identifier: MIT
//
// Watching harts and threads for hangs.
//
// Each hart has a heartbeat, also while it is idle, and looks whether the next one still has.
// I1. Time is measured in own heartbeats and ticks, never as a difference of two times: when time
//     jumps, because the machine stood still, that is one heartbeat.
// I2. The oldest wait is first in waiting, so one look a heartbeat is enough.
#include "kern/sched/watch.h"

#include "kern/lib/atomic.h"
#include "kern/lib/hang.h"
#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/sched/sleeplock.h"
#include "kern/sched/thread.h"

// In heartbeats.
#define PATIENCE   10              // hang_limit
#define HART_LIMIT (2 * PATIENCE)  // of a hart without a heartbeat, or without a switch
#define WAIT_LIMIT (6 * PATIENCE)  // of a thread that waits for a sleep lock
#define TICKS      100             // a second, at most

// [h] this hart only, interrupts off  [a] atomic
static struct {
  uint64 beats;   // [a] heartbeats so far
  uint64 due;     // [h] time of the next
  uint64 seen;    // [h] the next hart's beats, and the excuses
  uint32 missed;  // [h] own heartbeats since that number changed
  uint64 stuck;   // [h] ticks since a thread should have given way
} watch[HART_MAX];

static struct spinlock waiting_lock = SPINLOCK_INIT("waiting");
static struct list waiting = LIST_INIT(waiting);  // [waiting_lock] threads, by hang_node

static void look_at_next(const struct hart *h) {
  const struct hart *next = h;
  do
    next = &harts[(next->index + 1) % hart_count];
  while (!load_relaxed(&next->online));
  uint64 beats = load_relaxed(&watch[next->index].beats) + load_relaxed(&hang_excuses);
  bool spins = load_relaxed(&next->wanted);  // it watches itself
  if (next == h || spins || beats != watch[h->index].seen)
    watch[h->index].missed = 0;
  else if (++watch[h->index].missed >= HART_LIMIT)
    hang_report(HANG_HARD, next, NULL);
  watch[h->index].seen = beats;
}

static void look_at_waiting(uint32 now) {
  irq_t irq = spin_lock(&waiting_lock);
  struct thread *t =
      list_empty(&waiting) ? NULL : list_entry(waiting.next, struct thread, hang_node);
  if (t && now - t->waits_since >= WAIT_LIMIT) {
    list_remove(&t->hang_node);  // report it once
    hang_report(HANG_TASK, NULL, t);
  }
  spin_unlock(&waiting_lock, irq);
}

void watch_tick(void) {
  const struct hart *h = this_hart();
  uint32 i = h->index;
  uint64 now = csr_read(time);
  watch[i].stuck = h->need_resched ? watch[i].stuck + 1 : 0;
  if (!hang_limit || now < watch[i].due)
    return;
  watch[i].due = now + hang_limit / PATIENCE;
  store_relaxed(&watch[i].beats, watch[i].beats + 1);
  if (watch[i].stuck >= hang_limit / machine.timebase * TICKS * HART_LIMIT / PATIENCE)
    hang_report(HANG_SOFT, h, NULL);
  if (i == 0)
    look_at_waiting((uint32)watch[0].beats);
  look_at_next(h);
}

uint64 watch_due(void) {
  return hang_limit ? csr_read(time) + hang_limit / PATIENCE : ~0UL;
}

void watch_wait(struct thread *t, struct sleeplock *l) {
  irq_t irq = spin_lock(&waiting_lock);
  t->waits = &l->guard;
  t->wants_sleeplock = true;
  t->waits_since = (uint32)load_relaxed(&watch[0].beats);
  list_push_back(&waiting, &t->hang_node);
  spin_unlock(&waiting_lock, irq);
}

void watch_wait_over(struct thread *t) {
  irq_t irq = spin_lock(&waiting_lock);
  t->wants_sleeplock = false;
  list_remove(&t->hang_node);
  spin_unlock(&waiting_lock, irq);
}
