// SPDX-License-Identifier: MIT
//
// Panic.
//
// I1. One hart panics; the others stop where they next spin, take an IPI, or panic themselves.
// I2. Reports under way on other harts come out before the machine ends, if they take not too long.
#include "kern/lib/panic.h"

#include "kern/lib/atomic.h"
#include "kern/lib/hang.h"
#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/power.h"
#include "kern/lib/print.h"
#include "kern/lib/sbi.h"

#define PANIC_EXIT_CODE         1
#define REPORT_PATIENCE_SECONDS 10  // without a sign of progress; a busy host may hold a hart back

uint32 reports_pending;
uint32 panic_attention;
static struct hart *panic_hart;  // [a] the one that panics, or null

static _Noreturn void stop_hart(void) {
  irq_off();
  for (;;)
    asm volatile("wfi");
}

void panic_obey(void) {
  const struct hart *h = load_acquire(&panic_hart);
  if (h && h != this_hart())
    stop_hart();
}

void panic_poll(void) {
  if (__builtin_expect(load_relaxed(&panic_attention), 0) == 0)
    return;
  panic_obey();
  hang_answer(NULL);
}

static void await_reports(void) {
  uint64 patience = REPORT_PATIENCE_SECONDS * machine.timebase;
  uint64 start = csr_read(time);
  uint32 before = 0, pending;
  while ((pending = load_acquire(&reports_pending)) && csr_read(time) - start < patience)
    if (pending != before) {  // a report has ended or begun
      before = pending;
      start = csr_read(time);
    }
}

// Say so without any lock or formatter, since either may be what fails.
static _Noreturn void panic_again(void) {
  for (const char *s = "\r\npanic while panicking\r\n"; *s; s++)
    sbi_putchar(*s);
  power_off(PANIC_EXIT_CODE);
}

void panic(const char *fmt, ...) {
  irq_off();
  struct hart *me = this_hart(), *first = NULL;
  if (!compare_swap(&panic_hart, &first, me)) {
    if (first == me)
      panic_again();
    print_abandon_report();
    stop_hart();
  }
  fetch_add(&panic_attention, 1);
  for (uint32 i = 0; i < hart_count; i++)  // stop the others
    if (&harts[i] != me && load_relaxed(&harts[i].online))
      sbi_send_ipi(harts[i].id);
  await_reports();
  uint32 missing = load_acquire(&reports_pending);
  print_begin_report();
  va_list args;
  va_start(args, fmt);
  kprintf("\npanic: ");
  kvprintf(fmt, args);
  kprintf(" (hart %u)\n", me->index);
  va_end(args);
  if (missing)
    kprintf("Of the reports that had begun, %u did not come out in time.\n", missing);
  if (bootarg_flag("gdb")) {
    kprintf("The machine waits for the debugger.\n");
    stop_hart();
  }
  power_off(PANIC_EXIT_CODE);
}
