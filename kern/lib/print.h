// SPDX-License-Identifier: MIT
//
// Printing.  Conversions: %d %u %x %X %p %s %c %%, with l, width, '0' and '-'.  %p prints 0x and 16
// digits.  kern/lib/format.c has format and ksnprintf, kern/lib/print.c the rest.
#pragma once

#include "kern/lib/types.h"

#include <stdarg.h>

// Print one message; messages of different harts do not mix.  Any context.
void kprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void kvprintf(const char *fmt, va_list args);

// Print s as a word of a line for machines: bytes outside [A-Za-z0-9._-] as %XX.  Any context.
void print_encoded(const char *s);

// Format into buf, at most size bytes with the terminator.  Returns the length of the whole text.
// size must not be 0.
int ksnprintf(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

// Put fmt byte by byte, its conversions replaced by args.  Touches nothing else.
struct format_out {
  void (*put)(struct format_out *out, char c);
};
void format(struct format_out *out, const char *fmt, va_list args);

// Where printed bytes go: the firmware's console until a driver registers its own.
// put writes one byte, polled.  A message or report calls begin once it has the console, and end
// when it has given it back: then a print_claim that failed may be tried again.  All three work in
// any context, never sleep, and wait for no lock that a faulting hart can hold.
// Called by: kern/dev/uart.c.
void print_set_sink(void (*put)(char c), void (*begin)(void), void (*end)(void));

// Keep messages and reports off the console while a driver sends output of user programs.  Returns
// false when one is in progress: then try again at its end.  Does not wait.  Holds: interrupts off,
// until print_release.
bool print_claim(void);
void print_release(void);

// Keep the console to this hart while it reports: other harts' messages and the output of user
// programs wait.  Nests on one hart.  Takes no lock that a faulting hart can hold.
void print_begin_report(void);
void print_end_report(void);

// Leave the console to others if this hart reports, even in the middle of a report.
void print_abandon_report(void);
