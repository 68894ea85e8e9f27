// SPDX-License-Identifier: MIT
//
// What assembly needs of threads; see kern/lib/offset.h.

#include "kern/lib/offset.h"
#include "kern/sched/runq.h"

static __attribute__((used)) void offsets(void) {
  OFFSET(THREAD_SP, offsetof(struct thread, sp));
  OFFSET(THREAD_STACK_LO, offsetof(struct thread, stack_lo));
  OFFSET(THREAD_STACK_HI, offsetof(struct thread, stack_hi));
  OFFSET(SWITCH_FRAME_SIZE, sizeof(struct switch_frame));
  OFFSET(SWITCH_RA, offsetof(struct switch_frame, ra));
}
