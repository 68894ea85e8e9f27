// SPDX-License-Identifier: MIT
//
// The console: line discipline above the UART; device major 1.
#pragma once

#include "kern/lib/types.h"

// Map and start the UART, take over printing, register the device.  Boot hart.
void console_init(void);

// Return whether console_input can take a byte.  While it cannot, the UART holds input back, until
// uart_accept.  Any context.
bool console_room(void);

// Take a byte that has arrived; there is room for it.  Interrupt context.
void console_input(int c);

// Give back the turn of the running thread, which is being killed: it has read nothing.
void console_give_turn(void);

// Print a line for each process, at ^P.  Any context.
// Implemented by: kern/proc/describe.c.
void console_listing(void);
