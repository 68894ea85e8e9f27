// SPDX-License-Identifier: MIT
//
// The paths that use no stack: one line through the firmware's legacy console call (SBI 5.2), then
// the end.  They run when there is no stack yet, or no good one any more.
//
// early_trap   stvec until a hart's record and emergency stack exist.  Physical or virtual, no tp.
// last_resort  the emergency stack itself has failed.
//
// Registers: s0 text, s1 sepc, s2 scause, s3 stval, s4 sp, s5 hart.  The firmware preserves all but
// a0 and a1 (SBI 3).
#include "kern/lib/csr.h"
#include "offsets.h"

#define LAST_RESORT_CODE 3  // exit code of the machine

  .cfi_sections .debug_frame
  .text

  .globl early_trap
  .balign 4
early_trap:
  .cfi_startproc
  .cfi_undefined ra
  csrr s1, sepc
  csrr s2, scause
  csrr s3, stval
  mv s4, sp
  lla s0, early_text
  li s11, 0
  j print_text

// _Noreturn void last_resort_frame(struct trap_frame *frame)
  .globl last_resort_frame
last_resort_frame:
  ld s1, FRAME_SEPC(a0)
  ld s2, FRAME_SCAUSE(a0)
  ld s3, FRAME_STVAL(a0)
  ld s4, 8*2(a0)

// last_resort: s1 to s4 as above.
  .globl last_resort
last_resort:
  lla s0, last_text
  lla s11, power_device
  lwu s5, HART_INDEX(tp)

// The text at s0, with each # replaced by the next of s1 to s5 in hexadecimal.
print_text:
  li a7, 1                // legacy console putchar
next_character:
  lbu a0, 0(s0)
  beqz a0, power_off_machine
  addi s0, s0, 1
  li t0, '#'
  beq a0, t0, print_number
  ecall
  j next_character
print_number:
  li s6, 60
next_digit:
  srl a0, s1, s6
  andi a0, a0, 15
  li t0, 10
  blt a0, t0, 1f
  addi a0, a0, 'a' - 10 - '0'
1:
  addi a0, a0, '0'
  ecall
  addi s6, s6, -4
  bgez s6, next_digit
  mv s1, s2
  mv s2, s3
  mv s3, s4
  mv s4, s5
  j next_character

power_off_machine:
  beqz s11, stop
  ld t0, 0(s11)
  beqz t0, stop
  li t1, LAST_RESORT_CODE << 16 | 0x3333
  sw t1, 0(t0)
stop:
  wfi
  j stop
  .cfi_endproc

  .section .rodata
early_text:
  .asciz "\r\nbulwark: trap before the stacks were ready: sepc=0x# scause=0x# stval=0x# sp=0x#\r\n"
last_text:
  .ascii "\r\nbulwark: last resort: the emergency stack failed: "
  .asciz "sepc=0x# scause=0x# stval=0x# sp=0x# hart=0x#\r\n"
