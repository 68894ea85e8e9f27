// SPDX-License-Identifier: MIT
//
// The end of the kernel: a broken invariant, said once, with numbers.
#pragma once

#include "kern/lib/types.h"

// [a] Harts between a fault and the end of its report.  A panic waits for the others' reports.
extern uint32 reports_pending;

// Stop all harts, print "panic: " and the message once, and end the machine with a failing exit
// code, or wait for the debugger when there is one.  Any context.
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// [a] Not 0: another hart wants this one to stand still, since it panics or reports a hang.
extern uint32 panic_attention;

// Stop this hart for good if another one has panicked.
void panic_obey(void);

// The same, and stand still while another one reports a hang.  For the body of every spin loop.
void panic_poll(void);

#define assert(cond)                                                                               \
  do {                                                                                             \
    if (__builtin_expect(!(cond), 0))                                                              \
      panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #cond);                             \
  } while (0)
