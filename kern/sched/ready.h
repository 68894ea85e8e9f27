// SPDX-License-Identifier: MIT
//
// Ready threads: waking them, and the idle loop that waits for them.
#pragma once

#include "kern/sched/thread.h"

struct hart;
struct runqueue;

// Make a new or sleeping thread ready; nothing happens in any other state.  Any context.
void thread_ready(struct thread *t);

// Make a new or sleeping thread ready to run on h, unless other harts even out their load first;
// nothing happens in any other state.  Any context.
void thread_place(struct thread *t, struct hart *h);

// Mark a thread to die on its way to user mode, and break its sleep if that is interruptible.  Any
// context.
void thread_kill(struct thread *t);

// Run the idle loop of this hart, for ever.  Called by its idle thread.  Holds: interrupts off.
_Noreturn void thread_idle(void);

// Ask for time slices again, because this hart leaves its idle thread.  Holds: interrupts off.
// Implemented by: kern/dev/timer.c.
void thread_start_slices(void);

// Even out the queues: hand a thread of q, this hart's queue, to an idle hart; if all are busy,
// take a thread over from a longer queue.  From the timer interrupt.
void runq_balance(struct runqueue *q);
