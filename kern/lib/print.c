// SPDX-License-Identifier: MIT
//
// Printing, and who has the console.
//
// I1. A message is printed whole: under print_lock, or by the hart that reports.
// I2. A reporter takes no lock: its hart may hold print_lock already, and so may a hart that will
//     never run again.  It waits for a message in progress, but only so long.
// I3. printing and reporter are each stored before the other is read (with a full fence between),
//     so a message and a report cannot both miss that the other has begun.
// I4. A driver's burst of user output counts as a message, but never waits: the driver hears of the
//     end of each message.
#include "kern/lib/print.h"
#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/sbi.h"
#include "kern/lib/spinlock.h"
#include "kern/lib/string.h"

#define MESSAGE_PATIENCE_SECONDS 5  // a busy host may hold a hart back; panic waits longer

static struct spinlock print_lock = SPINLOCK_INIT("print");
static void (*sink)(char c) = sbi_putchar;
static struct hart *reporter;  // [a] hart that reports, or null
static uint32 report_depth;    // [reporter]
static bool printing;          // [a] a message is on its way, under print_lock

static void no_action(void) {
}

static void (*begin)(void) = no_action;  // of a message or report
static void (*end)(void) = no_action;

void print_set_sink(void (*put)(char c), void (*begin_message)(void), void (*end_message)(void)) {
  sink = put;
  begin = begin_message;
  end = end_message;
}

static void put_console(struct format_out *out, char c) {
  (void)out;
  if (c == '\n')
    sink('\r');
  sink(c);
}

static void print_message(const char *fmt, va_list args) {
  struct format_out out = {put_console};
  format(&out, fmt, args);
}

// Set printing unless another hart reports.  Returns whether it is set.  Holds: print_lock.
static bool try_console(void) {
  store_relaxed(&printing, true);
  fence_all();
  if (!load_acquire(&reporter))
    return true;
  store_release(&printing, false);
  return false;
}

void print_release(void) {
  store_release(&printing, false);
  spin_unlock_irq_off(&print_lock);
}

bool print_claim(void) {
  irq_t off;
  if (!spin_trylock(&print_lock, &off))
    return false;
  if (!try_console()) {
    spin_unlock_irq_off(&print_lock);
    return false;
  }
  return true;
}

void kvprintf(const char *fmt, va_list args) {
  irq_t state = irq_save();
  if (load_relaxed(&reporter) == this_hart()) {
    print_message(fmt, args);
  } else {
    spin_lock(&print_lock);
    while (!try_console())
      while (load_relaxed(&reporter))
        panic_poll();
    begin();
    print_message(fmt, args);
    print_release();
    end();
  }
  irq_restore(state);
}

void kprintf(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  kvprintf(fmt, args);
  va_end(args);
}

void print_encoded(const char *s) {
  for (; *s; s++) {
    bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
                 strchr("._-", *s);
    kprintf(plain ? "%c" : "%%%02X", (uint8)*s);
  }
}

// The hart that prints it may be held back, but it goes on, unless it never will again (I2).
static void await_message(void) {
  uint64 patience = MESSAGE_PATIENCE_SECONDS * machine.timebase;
  uint64 start = csr_read(time);
  while (load_acquire(&printing) && csr_read(time) - start < patience)
    ;
}

void print_begin_report(void) {
  irq_t state = irq_save();
  struct hart *me = this_hart();
  if (load_relaxed(&reporter) != me) {
    if (print_lock.owner == me)  // its own message ends here, and nobody waits for that
      store_release(&printing, false);
    struct hart *none = NULL;
    while (!compare_swap(&reporter, &none, me))
      none = NULL;
    fence_all();
    await_message();
    begin();
  }
  report_depth++;
  irq_restore(state);
}

void print_abandon_report(void) {
  if (load_relaxed(&reporter) == this_hart())
    store_release(&reporter, (struct hart *)NULL);
}

void print_end_report(void) {
  if (--report_depth == 0) {
    store_release(&reporter, (struct hart *)NULL);
    end();
  }
}
