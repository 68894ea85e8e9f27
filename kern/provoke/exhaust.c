// SPDX-License-Identifier: MIT
//
// The stack runs out: in plain code, holding something, in the console, on every hart at once.
#include "kern/provoke/tests.h"

#include "kern/dev/timer.h"
#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/panic.h"
#include "kern/lib/print.h"
#include "kern/lib/sbi.h"
#include "kern/provoke/faults.h"
#include "kern/provoke/words.h"
#include "kern/sched/ready.h"
#include "kern/sched/sleeplock.h"
#include "kern/sched/switch.h"
#include "kern/sched/thread.h"
#include "vm/kmalloc.h"

#define RECURSE_FRAME 512  // bytes of local array in each call of recurse()
#define FOREVER       100000

static struct spinlock exhaust_spinlock = SPINLOCK_INIT("provoke");

// Call itself n times, with a frame that is in use before and after.  Not static, so that the
// compiler keeps its name and its argument, and reports say recurse().
uint64 recurse(uint64 n);

__attribute__((noinline)) uint64 recurse(uint64 n) {
  volatile uint8 local[RECURSE_FRAME];
  local[n % RECURSE_FRAME] = n;
  if (n == 0)
    return 0;
  return recurse(n - 1) + local[n % RECURSE_FRAME];
}

void provoke_exhaust_stack(char *words[]) {
  recurse(word_number(words[0], FOREVER));
}

void provoke_exhaust_irqoff(char *words[]) {
  irq_t irq = irq_save();
  provoke_exhaust_stack(words);
  irq_restore(irq);
}

void provoke_exhaust_spinlock(char *words[]) {
  irq_t irq = spin_lock(&exhaust_spinlock);
  irq_on();  // so that the lock alone decides
  provoke_exhaust_stack(words);
  spin_unlock(&exhaust_spinlock, irq);
}

// Of two locks it holds one when the stack runs out, so that a count that forgets one is found.
void provoke_exhaust_sleeplock(char *words[]) {
  struct sleeplock *locks = kmalloc(2 * sizeof(*locks));
  if (!locks)
    return;
  for (int i = 0; i < 2; i++) {
    sleep_init(&locks[i], "provoke");
    sleep_lock(&locks[i]);
  }
  sleep_unlock(&locks[0]);
  provoke_exhaust_stack(words);
  sleep_unlock(&locks[1]);
  kfree(locks);
}

void provoke_exhaust_transaction(char *words[]) {
  thread_current()->in_transaction = true;
  provoke_exhaust_stack(words);
  thread_current()->in_transaction = false;
}

static void exhaust_in_thread(void *arg) {
  (void)arg;
  provoke_here();
  recurse(FOREVER);
  thread_exit();
}

void provoke_exhaust_kthread(char *words[]) {
  (void)words;
  struct thread *t = thread_create("exhaust", 0, exhaust_in_thread, NULL);
  if (t)
    thread_ready(t);
  timer_sleep(20);
}

void provoke_exhaust_frames(char *words[]) {
  provoke_frames(word_number(words[0], 16));
}

// Overflow in the console: while it prints a message, or on another hart while it prints a report.
static struct {
  bool recurses;     // at the next character
  bool pauses;       // behind the next blank, for the grader
  uint32 waiting;    // [a] a process waits for a report to begin
  uint32 reporting;  // [a] one has begun
} console;

static void console_put(char c) {
  if (console.recurses) {
    console.recurses = false;
    recurse(FOREVER);
  }
  store_release(&console.reporting, 1);
  sbi_putchar(c);
  if (console.pauses && c == ' ') {
    console.pauses = false;
    provoke_here();
  }
}

static void console_quiet(void) {
}

void provoke_exhaust_console(char *words[]) {
  (void)words;
  console.recurses = true;
  print_set_sink(console_put, console_quiet, console_quiet);
  kprintf("provoke: in the console\n");
}

// Wait until as many processes as there are harts have come here, each on a hart of its own.
// Returns with interrupts off, and their state before.  A process that waits takes ticks, so that
// one queued behind it moves on.
static irq_t meet(void) {
  static const struct thread
      *present[HART_MAX];  // [exhaust_spinlock] the one that waits on each hart
  static uint32 met;       // [a] processes that have seen all harts present
  const struct thread *me = thread_current();
  for (;;) {
    irq_t outer = irq_save();
    irq_t irq = spin_lock(&exhaust_spinlock);
    uint32 count = 0, here = hart_index();
    for (uint32 i = 0; i < hart_count; i++) {
      if (i == here && !present[i])
        present[i] = me;
      else if (i != here && present[i] == me)
        present[i] = NULL;
      count += present[i] ? 1 : 0;
    }
    bool all = count == hart_count && present[here] == me;
    spin_unlock(&exhaust_spinlock, irq);
    if (all) {
      uint32 round = fetch_add(&met, 1) / hart_count;
      while (load_acquire(&met) / hart_count == round)
        panic_poll();
      irq = spin_lock(&exhaust_spinlock);
      present[here] = NULL;
      spin_unlock(&exhaust_spinlock, irq);
      return outer;
    }
    irq_restore(outer);
  }
}

// On two harts one process overflows when the other's report, or its line, has begun; it may panic
// or print first.
void provoke_exhaust_reporting(char *words[]) {
  irq_restore(meet());
  if (fetch_add(&console.waiting, 1) == 0) {
    while (!load_acquire(&console.reporting))
      ;
    if (word_is(words[0], "panic"))
      panic("provoked");
    if (word_is(words[0], "message"))
      kprintf("provoke: a message\n");
  } else {
    console.pauses = word_is(words[0], "line");
    print_set_sink(console_put, console_quiet, console_quiet);
    if (console.pauses)
      kprintf("provoke: a line\n");
  }
  recurse(FOREVER);
}

// As many processes as there are harts overflow at once.
void provoke_exhaust_all(char *words[]) {
  irq_t irq = meet();
  if (!word_is(words[0], "off"))
    irq_restore(irq);
  recurse(FOREVER);
}

// The reporter runs out of its own stack, of which it gets 512 bytes, or takes a fault itself.
void provoke_reporter(char *words[]) {
  irq_off();
  struct hart *h = this_hart();
  if (word_is(words[0], "fault"))
    h->current = (struct thread *)sizeof(struct trap_frame);
  else
    h->emergency_hi = h->emergency_lo + 512;
  provoke_sp_break(h->stack_lo - 16);
}
