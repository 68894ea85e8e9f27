// SPDX-License-Identifier: MIT
//
// The console: line discipline above the UART; device major 1.
#pragma once

#include "kern/lib/types.h"

// Map and start the UART, take over printing, register the device.  Boot hart.
void console_init(void);

// A byte has arrived.  Called by kern/dev/uart.c in interrupt context.
void console_input(int c);

// Have ^P call list, in interrupt context: it prints the processes.  Boot only.
// Handed down by: kern/proc.
void console_set_listing(void (*list)(void));

// Wait until all that programs wrote has left, before the machine is switched off.  Sleeps.
void console_flush(void);
