// SPDX-License-Identifier: MIT
//
// The switch from one thread to another.
//
//            | before                     | after
//   sp       | in prev's stack            | in next's
//   tp       | this hart                  | the same
//   record   | prev's stack               | next's
//   current  | prev                       | next
//
// Interrupts are off, and the lock of this hart's run queue is held.
// 1. Push what the calling convention preserves on the old stack.
// 2. Load everything new into registers, while sp is still the old one.
// 3. Set record, current and sp, with no access through sp between.
// 4. Pop from the new stack.

#include "offsets.h"

  .cfi_sections .debug_frame
  .text

// void thread_switch(struct thread *prev, struct thread *next);
  .globl thread_switch
thread_switch:
  .cfi_startproc
  // 1.
  addi sp, sp, -SWITCH_FRAME_SIZE
  .cfi_def_cfa_offset SWITCH_FRAME_SIZE
  sd ra, SWITCH_RA(sp)
  .cfi_offset ra, SWITCH_RA - SWITCH_FRAME_SIZE
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
  sd s\n, 8 * \n(sp)
  .cfi_offset s\n, 8 * \n - SWITCH_FRAME_SIZE
  .endr
  sd sp, THREAD_SP(a0)
  // 2.
  ld t0, THREAD_STACK_LO(a1)
  addi t1, t0, TRAP_FRAME_SIZE
  ld t2, THREAD_STACK_HI(a1)
  ld t3, THREAD_SP(a1)
  // 3.
  sd t0, HART_STACK_LO(tp)
  sd t1, HART_STACK_FLOOR(tp)
  sd t2, HART_STACK_HI(tp)
  sd a1, HART_CURRENT(tp)
  mv sp, t3
  // 4.
  ld ra, SWITCH_RA(sp)
  .cfi_restore ra
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
  ld s\n, 8 * \n(sp)
  .cfi_restore s\n
  .endr
  addi sp, sp, SWITCH_FRAME_SIZE
  .cfi_def_cfa_offset 0
  ret
  .cfi_endproc

// Where the first switch to a thread arrives: nothing called it, so unwinding ends here.
// void thread_entry(void);
  .globl thread_entry
thread_entry:
  .cfi_startproc
  .cfi_undefined ra
  mv fp, zero
  call thread_begin
  ebreak
  .cfi_endproc
