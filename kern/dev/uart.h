// SPDX-License-Identifier: MIT
//
// The serial port: an ns16550a, sending from a ring by interrupt, and polled for printing.
#pragma once

#include "kern/lib/types.h"

// Start the port of machine.uart, and print through it from now on.  Without one the firmware's
// console stays, for output only.  Boot hart.
void uart_init(void);

// Send n bytes, a newline as CR LF.  Sleeps while the ring is full; the caller holds no lock.
// Returns 0, or -EINTR when killed, with part of it sent.
int uart_write(const char *s, uint64 n);

// Send n bytes, but leave out those that the ring has no room for.  Does not sleep.
void uart_echo(const char *s, uint32 n);

// The console has room again: take input that was held back.  Any context.
void uart_accept(void);

// Wait until the port has sent everything.  Sleeps.
void uart_flush(void);
