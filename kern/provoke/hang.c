// SPDX-License-Identifier: MIT
//
// Hangs: locks that are never released, harts and threads that never go on.
#include "kern/provoke/tests.h"

#include "kern/dev/timer.h"
#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/spinlock.h"
#include "kern/provoke/words.h"
#include "kern/sched/ready.h"
#include "kern/sched/sleeplock.h"
#include "kern/sched/switch.h"
#include "kern/sched/thread.h"

#define LONG_ENOUGH 150  // seconds, for any limit by default

// For ever; the compiler does not know.
static void loop(void) {
  asm volatile("1: j 1b");
}

static void loop_in_thread(void *arg) {
  (void)arg;
  loop();
}

// Have a kernel thread run start, anywhere.
static void let_run(const char *name, void (*start)(void *), void *arg) {
  struct thread *t = thread_create(name, 0, start, arg);
  if (t)
    thread_ready(t);
}

// --- a spin lock ---------------------------------------------------------------------------------

static struct spinlock kept = SPINLOCK_INIT("kept");
static uint32 is_kept;  // [a]

static void keep(void *arg) {
  (void)arg;
  spin_lock(&kept);
  store_release(&is_kept, 1);
  loop();
}

// Another hart keeps the lock and loops.  Where there is none, a hart that is gone has it.
void provoke_spinlockup(char *words[]) {
  (void)words;
  if (hart_count == 1)
    kept.taken = is_kept = 1;
  else
    let_run("keeper", keep, NULL);
  while (!load_acquire(&is_kept))
    thread_yield();
  spin_lock(&kept);
}

// --- a hart --------------------------------------------------------------------------------------

void provoke_hardlockup(char *words[]) {
  (void)words;
  irq_off();
  loop();
}

// Not static, so that each call has its frame, and reports say its name.
uint64 loop_deep(uint64 end);

__attribute__((noinline)) uint64 loop_deep(uint64 end) {
  volatile uint8 local[128];
  local[end % sizeof(local)] = 0;
  if ((uint64)local < end)
    loop();
  return (uint64)local < end ? 0 : loop_deep(end) + local[end % sizeof(local)];
}

// At the end of its stack no thread is preempted (PREEMPT_ROOM).  The others are as many that one
// waits here when the harts have shared them out.
void provoke_softlockup(char *words[]) {
  (void)words;
  for (uint32 i = 0; i < 2 * hart_count; i++)
    let_run("busy", loop_in_thread, NULL);
  loop_deep(thread_current()->stack_lo + 900);
}

// --- a thread ------------------------------------------------------------------------------------

static struct sleeplock locks[2];

static void lock_both(void *arg) {
  struct sleeplock *first = arg, *second = first == &locks[0] ? &locks[1] : &locks[0];
  sleep_lock(first);
  timer_sleep(2);
  sleep_lock(second);
  sleep_unlock(second);
  sleep_unlock(first);
  thread_exit();
}

void provoke_hung_task(char *words[]) {
  sleep_init(&locks[0], "left");
  sleep_init(&locks[1], "right");
  let_run("philosopher-1", lock_both, &locks[0]);
  let_run("philosopher-2", lock_both, &locks[1]);
  timer_sleep(word_number(words[0], LONG_ENOUGH) * 10);
}

// --- LOCKDEP=y -----------------------------------------------------------------------------------

#if LOCKDEP

static struct spinlock spins[] = {SPINLOCK_INIT("one"), SPINLOCK_INIT("two"),
                                  SPINLOCK_INIT("three"), SPINLOCK_INIT("one")};

static __attribute__((noinline)) void take_two(struct spinlock *first, struct spinlock *second) {
  irq_t irq = spin_lock(first);
  spin_lock(second);
  spin_unlock_irq_off(second);
  spin_unlock(first, irq);
}

static void take_two_asleep(struct sleeplock *first, struct sleeplock *second) {
  sleep_lock(first);
  sleep_lock(second);
  sleep_unlock(second);
  sleep_unlock(first);
}

// Nothing waits: the order alone is wrong.  ring, back: that of three, learned in either direction.
void provoke_lock_order(char *words[]) {
  if (word_is(words[0], "sleep")) {
    sleep_init(&locks[0], "left");
    sleep_init(&locks[1], "right");
    take_two_asleep(&locks[0], &locks[1]);
    take_two_asleep(&locks[1], &locks[0]);
    return;
  }
  if (word_is(words[0], "same"))
    take_two(&spins[0], &spins[3]);
  if (word_is(words[0], "back"))
    take_two(&spins[1], &spins[2]);
  take_two(&spins[0], &spins[1]);
  if (word_is(words[0], "ring") || word_is(words[0], "back")) {
    take_two(&spins[1], &spins[2]);
    take_two(&spins[2], &spins[0]);
  }
  take_two(&spins[1], &spins[0]);
}

void provoke_lock_sleep(char *words[]) {
  sleep_init(&locks[0], "left");
  irq_t irq = spin_lock(&spins[0]);
  if (word_is(words[0], "yield"))
    thread_yield();
  sleep_lock(&locks[0]);
  spin_unlock(&spins[0], irq);
}

// early: by the release of another lock, with the wrong one of two states.
void provoke_lock_interrupt(char *words[]) {
  irq_t irq = spin_lock(&spins[0]);
  if (word_is(words[0], "early")) {
    spin_lock(&spins[1]);
    spin_unlock(&spins[1], irq);
  }
  irq_on();
  loop();
}

#endif
