// SPDX-License-Identifier: MIT
//
// User floating point, saved only when it was used.
//
// The FS field of the user frame's sstatus says what the registers hold: off, not this thread's;
// clean, the same as thread->fpu; dirty, newer.  The kernel itself uses none, and its live FS is
// off.
//
// I1. FS is off in the frame of every thread that is not running, so the registers are never
//     another thread's: the first instruction that uses them after a switch traps.
//
// I2. FS is other than off only if thread->fpu_used.  The room is part of the thread, so neither a
//     switch nor a first use needs memory.
#include "kern/sched/fpu.h"

#include "kern/lib/csr.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "kern/lib/string.h"

// Store the registers to state, load them from it.  Interrupts are off.
// Implemented by: kern/sched/fpu.S.
void fpu_save(uint64 *state);
void fpu_load(const uint64 *state);

void fpu_leave(struct thread *t) {
  assert(!irq_enabled());
  struct trap_frame *frame = thread_user_frame(t);
  if ((frame->sstatus & SSTATUS_FS) == SSTATUS_FS_DIRTY)
    fpu_save(t->fpu);
  frame->sstatus &= ~(uint64)SSTATUS_FS;
}

bool fpu_first_use(struct trap_frame *frame) {
  struct thread *t = thread_current();
  assert(frame == thread_user_frame(t));
  if (!machine.has_fpu || (frame->sstatus & SSTATUS_FS))
    return false;
  if (!t->fpu_used)
    memset(t->fpu, 0, sizeof(t->fpu));
  t->fpu_used = true;
  irq_t irq = irq_save();
  fpu_load(t->fpu);
  frame->sstatus |= SSTATUS_FS_CLEAN;
  irq_restore(irq);
  return true;
}

void fpu_fork(struct thread *child) {
  struct thread *t = thread_current();
  if (!t->fpu_used)
    return;
  irq_t irq = irq_save();
  fpu_leave(t);
  irq_restore(irq);
  child->fpu_used = true;
  memcpy(child->fpu, t->fpu, sizeof(t->fpu));
}
