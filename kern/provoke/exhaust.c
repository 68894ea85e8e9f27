// SPDX-License-Identifier: MIT
//
// The stack runs out: in plain code, holding something, in the console, on every hart at once.
#include "kern/provoke/tests.h"

#include "kern/dev/timer.h"
#include "kern/fs/inode.h"
#include "kern/fs/log.h"
#include "kern/fs/name.h"
#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/panic.h"
#include "kern/lib/print.h"
#include "kern/lib/sbi.h"
#include "kern/proc/process.h"
#include "kern/provoke/faults.h"
#include "kern/provoke/words.h"
#include "kern/sched/ready.h"
#include "kern/sched/sleeplock.h"
#include "kern/sched/switch.h"
#include "kern/sched/thread.h"
#include "vm/page.h"

#define RECURSE_FRAME 512  // bytes of local array in each call of recurse()
#define FOREVER       100000

#define SLEEPLOCK_INIT(lock)                                                                       \
  { SPINLOCK_INIT(#lock), WAITQ_INIT((lock).waiters, (lock).guard), NULL, NULL }

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

// past: only by some calls too many.
void provoke_exhaust_stack(char *words[]) {
  uint64 room = (uint64)__builtin_frame_address(0) % KSTACK_SIZE;
  recurse(word_is(words[0], "past") ? room / RECURSE_FRAME + 1 : word_number(words[0], FOREVER));
}

// The thread is doomed, and has let go of the last of what it held.
static void must_be_dead(char *words[]) {
  if (word_is(words[0], "past"))
    panic("provoke: it lives on after it let go");
}

void provoke_exhaust_irqoff(char *words[]) {
  irq_t irq = irq_save();
  provoke_exhaust_stack(words);
  irq_restore(irq);
  must_be_dead(words);
}

void provoke_exhaust_spinlock(char *words[]) {
  irq_t irq = spin_lock(&exhaust_spinlock);
  provoke_exhaust_stack(words);
  spin_unlock(&exhaust_spinlock, irq);
  must_be_dead(words);
}

// Of two locks it holds one when the stack runs out, so that a count that forgets one is found.
void provoke_exhaust_sleeplock(char *words[]) {
  static struct sleeplock first = SLEEPLOCK_INIT(first), second = SLEEPLOCK_INIT(second);
  sleep_lock(&first);
  sleep_lock(&second);
  sleep_unlock(&second);
  provoke_exhaust_stack(words);
  sleep_unlock(&first);
  must_be_dead(words);
}

// Overflow with a new entry in the root directory, and the transaction open.
static void exhaust_half_done(void) {
  const struct dirent entry = {.inum = ROOT_INO, .name = "half"};
  struct inode *root;
  if (name_lookup(process_current()->cwd, "/half", &root) == 0) {
    inode_put(root);
    kprintf("FAIL: half of a killed call is there\n");
  } else if (inode_get(ROOT_INO, &root) == 0 && log_begin() == 0 && inode_lock(root) == 0) {
    inode_write(root, &entry, root->disk.size, sizeof(entry));
    recurse(FOREVER);
  }
}

void provoke_exhaust_transaction(char *words[]) {
  if (word_is(words[0], "half")) {
    exhaust_half_done();
    return;
  }
  if (log_begin() < 0)
    return;
  provoke_exhaust_stack(words);
  log_end();
  must_be_dead(words);
}

void provoke_transaction(char *words[]) {
  if (log_begin() < 0)
    return;
  timer_sleep((uint32)word_number(words[0], 10));
  kprintf("provoke: the transaction ends with %d\n", log_end());
}

static uint64 allocations;  // that a fork may still make

static bool exhaust_allocation(void) {
  if (allocations-- > 0)
    return false;
  page_fail_hook = NULL;
  recurse(FOREVER);
  return false;
}

void provoke_exhaust_fork(char *words[]) {
  allocations = word_number(words[0], 8);
  page_fail_hook = exhaust_allocation;
  process_fork();
}

static void exhaust_in_thread(void *arg) {
  provoke_here();
  provoke_exhaust_stack((char *[]){arg});
  thread_exit();
}

void provoke_exhaust_kthread(char *words[]) {
  struct thread *t = thread_create("exhaust", 0, exhaust_in_thread, words[0]);
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
  char **words;      // how
  bool pauses;       // behind the next blank, for the grader
  uint32 waiting;    // [a] a process waits for a report to begin
  uint32 reporting;  // [a] one has begun
} console;

static void console_put(char c) {
  if (console.recurses) {
    console.recurses = false;
    provoke_exhaust_stack(console.words);
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
  console.words = words;
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
