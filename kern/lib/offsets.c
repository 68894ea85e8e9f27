// SPDX-License-Identifier: MIT
//
// What assembly needs of struct hart and of the trap frame; see offset.h.

#include "kern/lib/hart.h"
#include "kern/lib/offset.h"
#include "kern/lib/trapframe.h"

static __attribute__((used)) void offsets(void) {
  OFFSET(HART_STACK_LO, offsetof(struct hart, stack_lo));
  OFFSET(HART_STACK_FLOOR, offsetof(struct hart, stack_floor));
  OFFSET(HART_STACK_HI, offsetof(struct hart, stack_hi));
  OFFSET(HART_EMERGENCY_LO, offsetof(struct hart, emergency_lo));
  OFFSET(HART_EMERGENCY_HI, offsetof(struct hart, emergency_hi));
  OFFSET(HART_INTERRUPT_LO, offsetof(struct hart, interrupt_lo));
  OFFSET(HART_INTERRUPT_HI, offsetof(struct hart, interrupt_hi));
  OFFSET(HART_SPILL_T0, offsetof(struct hart, spill_t0));
  OFFSET(HART_SPILL_T1, offsetof(struct hart, spill_t1));
  OFFSET(HART_SPILL_SP, offsetof(struct hart, spill_sp));
  OFFSET(HART_VICTIM_LO, offsetof(struct hart, victim_lo));
  OFFSET(HART_VICTIM_HI, offsetof(struct hart, victim_hi));
  OFFSET(HART_CURRENT, offsetof(struct hart, current));
  OFFSET(HART_SATP, offsetof(struct hart, satp));
  OFFSET(HART_INDEX, offsetof(struct hart, index));
  OFFSET(HART_ID, offsetof(struct hart, id));
  OFFSET(HART_SIZE, sizeof(struct hart));

  OFFSET(TRAP_FRAME_SIZE, sizeof(struct trap_frame));
  OFFSET(FRAME_SEPC, offsetof(struct trap_frame, sepc));
  OFFSET(FRAME_SCAUSE, offsetof(struct trap_frame, scause));
  OFFSET(FRAME_STVAL, offsetof(struct trap_frame, stval));
  OFFSET(FRAME_SSTATUS, offsetof(struct trap_frame, sstatus));
}
