// SPDX-License-Identifier: MIT
//
// Watching harts and threads for hangs (docs/hangs.md).
#pragma once

#include "kern/lib/types.h"

struct sleeplock;
struct thread;

// Look at this hart, the next one, and the threads that wait for sleep locks.  Called at the end of
// each time slice, before the next thread is chosen.  From the timer interrupt.
void watch_tick(void);

// Return the time at which an idle hart calls watch_tick again.  Holds: interrupts off.
uint64 watch_due(void);

// The running thread t begins to wait for l, or has it now.
void watch_wait(struct thread *t, struct sleeplock *l);
void watch_wait_over(struct thread *t);
