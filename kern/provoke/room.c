// SPDX-License-Identifier: MIT
//
// A process with little stack: its end is where it always was, and its beginning lower.
//
// So the overflow happens at the real bound, as it would at the end of a deep call, and the kernel
// has no instruction for it: a trap from user mode takes sp from the record, hi of which is lower.
//
// With KSTACK_GROW=y a room of more than a page begins with its upper page, or what is left of it.
// So it grows where a call passes a border of pages.  A child's room is whole from the start.
#include "kern/lib/hart.h"
#include "kern/lib/print.h"
#include "kern/provoke/tests.h"
#include "kern/provoke/words.h"
#include "kern/sched/thread.h"
#include "trap/trap.h"

#define BELOW 512  // bytes that this function and what it calls may use

// Have the stack mapped down to where a frame at the new top is.  Returns whether it is.  The spare
// pages for that are replaced later: SPARE may want few.
static bool map_top(struct thread *t, uint64 room) {
  struct hart *h = this_hart();
  vaddr_t to = ROUND_DOWN(t->kstack->lo + room - sizeof(struct trap_frame), PAGE_SIZE);
  if (to >= t->stack_lo)
    return true;
  if (kstack_grow(t->kstack, to, 0))
    return false;
  t->stack_lo = h->stack_lo = to;
  h->stack_floor = to + sizeof(struct trap_frame);
  return true;
}

// Go back to user mode from the call of write, which returns result.  Holds: interrupts off.
static _Noreturn void end_call(struct trap_frame *frame, uint64 result) {
  frame_reg(frame, REG_A0) = result;
  trap_user_return(frame);
}

// Go back by a copy of the frame at the new top.  Nothing stands there: it must be below all that
// runs here.  Where there can be no such room, write returns -1.
void provoke_stack_room(char *words[]) {
  uint64 room = ROUND_DOWN(word_number(words[0], 0), 16);
  struct thread *t = thread_current();
  struct trap_frame *old = thread_user_frame(t);
  uint64 most = (uint64)__builtin_frame_address(0) - BELOW - t->kstack->lo;
  irq_t irq = irq_save();
  if (this_hart()->irq_depth) {
    irq_restore(irq);
    kprintf("FAIL: a handler has a stack of its own\n");
    return;
  }
  if (room < sizeof(*old) || room > most) {
    kprintf("FAIL: it can leave from %lu to %lu bytes\n", sizeof(*old), ROUND_DOWN(most, 16));
    end_call(old, -1);
  }
  if (KSTACK_GROW && !map_top(t, room)) {
    kprintf("FAIL: no page for it\n");
    end_call(old, -1);
  }
  kstack_distrust(t->kstack);
  t->stack_hi = this_hart()->stack_hi = t->kstack->lo + room;
  struct trap_frame *frame = thread_user_frame(t);
  *frame = *old;
  end_call(frame, frame_reg(frame, REG_A2));  // all bytes of the command were written
}
