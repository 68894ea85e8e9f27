// SPDX-License-Identifier: MIT
//
// Printing, and who has the console.
//
// I1. A message is printed whole: under print_lock, or by the hart that reports.
// I2. A reporter takes no lock, since print_lock may be held by its own hart, or by one that will
//     never run again.  It waits for a message in progress, but not for ever.
// I3. A message stores printing and then reads reporting_hart.  A report stores reporting_hart and
//     then reads printing.  Each has a full fence between, so at least one sees the other.
// I4. A driver's burst of user output counts as a message, but never waits: the end of each message
//     calls the driver.
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
static struct hart *reporting_hart;  // [a] the hart that reports, or null
static uint32 report_depth;          // used by that hart
static bool printing;                // [a] a message is on its way, under print_lock

static void no_action(void) {
}

// Called at the beginning and the end of a message or report.
static void (*message_begin)(void) = no_action;
static void (*message_end)(void) = no_action;

void print_set_sink(void (*put)(char c), void (*begin_message)(void), void (*end_message)(void)) {
  sink = put;
  message_begin = begin_message;
  message_end = end_message;
}

static void put_console(struct format_out *out, char c) {
  (void)out;
  if (c == '\n')
    sink('\r');
  sink(c);
}

// Set printing unless another hart reports.  Returns whether it is set.  Holds: print_lock.
static bool try_console(void) {
  assert(spin_holding(&print_lock));
  store_relaxed(&printing, true);
  fence_all();
  if (!load_acquire(&reporting_hart))
    return true;
  store_release(&printing, false);
  return false;
}

void print_release(void) {
  store_release(&printing, false);
  spin_unlock_irq_off(&print_lock);
}

bool print_claim(void) {
  assert(!irq_enabled());
  irq_t irq;  // off, as asserted
  if (!spin_trylock(&print_lock, &irq))
    return false;
  bool claimed = try_console();
  if (!claimed)
    spin_unlock_irq_off(&print_lock);
  return claimed;
}

void kvprintf(const char *fmt, va_list args) {
  struct format_out out = {put_console};
  irq_t irq = irq_save();
  bool reports = load_relaxed(&reporting_hart) == this_hart();
  if (!reports) {
    spin_lock(&print_lock);
    while (!try_console())
      while (load_relaxed(&reporting_hart))
        panic_poll();
    message_begin();
  }
  format(&out, fmt, args);
  if (!reports) {
    print_release();
    message_end();
  }
  irq_restore(irq);
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

void print_begin_report(void) {
  irq_t irq = irq_save();
  struct hart *me = this_hart();
  if (load_relaxed(&reporting_hart) != me) {
    if (print_lock.owner == me)  // its own message ends here
      store_release(&printing, false);
    struct hart *none = NULL;
    while (!compare_swap(&reporting_hart, &none, me))
      none = NULL;
    fence_all();
    uint64 start = csr_read(time), patience = MESSAGE_PATIENCE_SECONDS * machine.timebase;
    while (load_acquire(&printing) && csr_read(time) - start < patience)
      ;  // I2
    message_begin();
  }
  report_depth++;
  irq_restore(irq);
}

void print_abandon_report(void) {
  if (load_relaxed(&reporting_hart) == this_hart())
    store_release(&reporting_hart, (struct hart *)NULL);
}

void print_end_report(void) {
  if (--report_depth == 0) {
    if (print_lock.owner == this_hart())  // its message may go on
      store_release(&printing, true);
    store_release(&reporting_hart, (struct hart *)NULL);
    message_end();
  }
}
