// SPDX-License-Identifier: MIT
//
// User floating point.
#pragma once

#include "kern/lib/hart.h"
#include "kern/lib/trapframe.h"
#include "kern/sched/thread.h"

// Give the running thread its floating-point registers after an illegal instruction at frame, with
// which it came from user mode.  Returns false when that was not the cause or the machine has no
// such registers.
bool fpu_first_use(struct trap_frame *frame);

// Save what the running thread t has in the floating-point registers; its next use of them traps.
// Holds: interrupts off.
void fpu_leave(struct thread *t);

// Copy the running thread's floating-point state to a forked child that has not run.  FS is off in
// the running thread's frame from then on.
void fpu_fork(struct thread *child);

// The running thread begins a new program, whose frame has FS off: it has used no floating point.
static inline void fpu_drop(void) {
  thread_current()->fpu_used = false;
}
