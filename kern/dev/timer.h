// SPDX-License-Identifier: MIT
//
// Time: the slice that preempts, sleeping until a time, ticks of a tenth of a second.
#pragma once

#include "kern/lib/types.h"

// Start the timer of this hart.
void timer_init_hart(void);

// Have this hart's next timer interrupt come at that time, unless a thread goes to sleep before.
// Holds: interrupts off.
void timer_set_comparator(uint64 time);

// Handle a timer interrupt.  Holds: interrupts off.
void timer_interrupt(void);

// Ticks (tenths of a second) since boot.
uint64 timer_ticks(void);

// Sleep for n ticks.  Returns 0, or -EINTR when killed.
int timer_sleep(uint32 n);
