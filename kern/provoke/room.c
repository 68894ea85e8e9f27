// SPDX-License-Identifier: MIT
//
// A process with little stack: its end is where it always was, and its beginning lower.
//
// So the overflow happens at the real bound, as it would at the end of a deep call, and the kernel
// has no instruction for it: a trap from user mode takes sp from the record, hi of which is lower.
#include "kern/lib/hart.h"
#include "kern/lib/print.h"
#include "kern/provoke/tests.h"
#include "kern/provoke/words.h"
#include "kern/sched/thread.h"
#include "trap/trap.h"

#define BELOW 512  // bytes that this function and what it calls may use

// Go back to user mode by a copy of the frame at the new top.  Nothing stands there: it must be
// below all that runs here.
void provoke_stack_room(char *words[]) {
  uint64 room = ROUND_DOWN(word_number(words[0], 0), 16), sp = (uint64)__builtin_frame_address(0);
  struct thread *t = thread_current();
  if (KSTACK_GROW) {
    kprintf("FAIL: the lower pages of a stack that grows are not there yet\n");
    return;
  }
  if (room < sizeof(struct trap_frame) || t->kstack->lo + room > sp - BELOW) {
    kprintf("FAIL: it can leave from %lu to %lu bytes\n", sizeof(struct trap_frame),
            ROUND_DOWN(sp - BELOW - t->kstack->lo, 16));
    return;
  }
  irq_off();
  kstack_distrust(t->kstack);
  const struct trap_frame *old = thread_user_frame(t);
  t->stack_hi = this_hart()->stack_hi = t->kstack->lo + room;
  struct trap_frame *frame = thread_user_frame(t);
  *frame = *old;
  frame_reg(frame, REG_A0) = frame_reg(frame, REG_A2);  // all bytes of the command were written
  trap_user_return(frame);
}
