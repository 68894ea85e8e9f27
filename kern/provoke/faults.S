// SPDX-License-Identifier: MIT
//
// Faults at known instructions, so that a test knows the sepc that a report must have.
// All run in the kernel on the caller's stack.  Those that set sp do not come back, and keep the
// old one in t0 for the debugger.

#include "kern/lib/csr.h"

  .cfi_sections .debug_frame
  .text

// void provoke_here(void): the test begins, on this stack.  The grader stops here.
  .globl provoke_here
provoke_here:
  .cfi_startproc
  nop
  ret
  .cfi_endproc
  .size provoke_here, . - provoke_here
  .type provoke_here, @function

// uint64 provoke_load(uint64 address), void provoke_store(uint64 address): one byte; the access is
// the first instruction.
  .globl provoke_load, provoke_store
provoke_load:
  .cfi_startproc
  lbu a0, 0(a0)
  ret
  .cfi_endproc
  .size provoke_load, . - provoke_load
  .type provoke_load, @function

provoke_store:
  .cfi_startproc
  sb zero, 0(a0)
  ret
  .cfi_endproc
  .size provoke_store, . - provoke_store
  .type provoke_store, @function

// void provoke_dma(const void *p, pa_t pa): a device may use the buffer p, at pa.  The grader stops
// here.
  .globl provoke_dma
provoke_dma:
  .cfi_startproc
  nop
  ret
  .cfi_endproc
  .size provoke_dma, . - provoke_dma
  .type provoke_dma, @function

// void provoke_count(uint64 n): a test has counted n of something.  The grader stops here.
  .globl provoke_count
provoke_count:
  .cfi_startproc
  nop
  ret
  .cfi_endproc
  .size provoke_count, . - provoke_count
  .type provoke_count, @function

// void provoke_calls(uint64 n), void provoke_calls_mixed(uint64 n): load from address 0 below n + 1
// calls, with frames of 16 bytes, or of 16 and 32 in turn.
.macro calls name, size, next
  .globl \name
  .type \name, @function
\name:
  .cfi_startproc
  addi sp, sp, -\size
  .cfi_def_cfa_offset \size
  sd ra, \size - 8(sp)
  sd s0, \size - 16(sp)
  addi s0, sp, \size
  beqz a0, 1f
  addi a0, a0, -1
  .option push
  .option norelax
  call \next
1:
  call provoke_load
  .option pop
  ld ra, \size - 8(sp)
  ld s0, \size - 16(sp)
  addi sp, sp, \size
  ret
  .cfi_endproc
  .size \name, . - \name
.endm

calls provoke_calls, 16, provoke_calls
calls provoke_calls_mixed, 16, provoke_calls_other
calls provoke_calls_other, 32, provoke_calls_mixed

// void provoke_illegal(char *words[]): the test ILLEGAL, an instruction that no extension defines.
  .globl provoke_illegal
provoke_illegal:
  .cfi_startproc
  unimp
  ret
  .cfi_endproc
  .size provoke_illegal, . - provoke_illegal
  .type provoke_illegal, @function

// _Noreturn void provoke_sp_NAME(uint64 sp): set sp, then trap in one way.
//   break      ebreak
//   load       load from address 0
//   store      store a byte at sp, then ebreak, for where something is mapped
//   interrupt  wait for an interrupt
//   sink       lower sp step by step, raising a software interrupt at each
.macro set_sp name
  .globl provoke_sp_\name
  .type provoke_sp_\name, @function
provoke_sp_\name:
  .cfi_startproc
  mv t0, sp
  .cfi_def_cfa t0, 0
  mv sp, a0
.endm

.macro end_sp name
  .cfi_endproc
  .size provoke_sp_\name, . - provoke_sp_\name
.endm

set_sp break
  ebreak
end_sp break

set_sp load
  lbu a0, 0(zero)
end_sp load

set_sp store
  sb zero, 0(sp)
  ebreak
end_sp store

set_sp interrupt
1:
  j 1b
end_sp interrupt

set_sp sink
1:
  csrsi sip, SIE_SSIE  // the interrupt comes at once
  nop
  addi sp, sp, -16
  j 1b
end_sp sink

// _Noreturn void provoke_frames(uint64 n): make frames of n bytes, storing to the lowest of each.
  .globl provoke_frames
provoke_frames:
  .cfi_startproc
  mv t0, sp
  .cfi_def_cfa t0, 0
1:
  sub sp, sp, a0
  sb zero, 0(sp)
  j 1b
  .cfi_endproc
  .size provoke_frames, . - provoke_frames
  .type provoke_frames, @function

// _Noreturn void provoke_copy(uint64 sp, uva_t dst): set sp, copy 8 bytes to user memory, ebreak.
  .globl provoke_copy
provoke_copy:
  .cfi_startproc
  mv t0, sp
  .cfi_def_cfa t0, 0
  mv sp, a0
  mv a0, a1
  lla a1, provoke_copy
  li a2, 8
  .option push
  .option norelax  // the grader adds offsets in this file to the address of its first function
  call copy_to_user
  .option pop
  ebreak
  .cfi_endproc
  .size provoke_copy, . - provoke_copy
  .type provoke_copy, @function

// _Noreturn void provoke_registers(uint64 sp, uint64 seed): set sp, and each other xN but tp to
// seed + N, then load from address 0.
  .globl provoke_registers, provoke_registers_fault
provoke_registers:
  .cfi_startproc
  .cfi_undefined ra
  mv sp, a0
  mv x31, a1
  .irp n, 1,3,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  addi x\n, x31, \n
  .endr
provoke_registers_fault:
  lbu zero, 0(zero)
  .cfi_endproc
  .size provoke_registers, . - provoke_registers
  .type provoke_registers, @function

// void provoke_use(uint64 n): write n bytes of stack, a multiple of 16, from the top down, not with
// zeros, so that they count as used; then take a software interrupt.
//   t0 the lowest address to write
  .globl provoke_use, provoke_use_end
provoke_use:
  .cfi_startproc
  mv t1, sp
  .cfi_def_cfa t1, 0
  sub t0, sp, a0
1:
  addi sp, sp, -16
  sd sp, 8(sp)
  sd sp, 0(sp)
  bltu t0, sp, 1b
provoke_use_end:
  csrsi sip, SIE_SSIE
  nop
  mv sp, t1
  .cfi_def_cfa sp, 0
  ret
  .cfi_endproc
  .size provoke_use, . - provoke_use
  .type provoke_use, @function

// void provoke_secret(uint64 n): fill n bytes of stack, a multiple of 16, with a number that is
// nowhere else in memory, since no instruction contains the whole of it.
//   t0 the lowest address to write   t2 the secret
  .globl provoke_secret, provoke_secret_end
provoke_secret:
  .cfi_startproc
  mv t1, sp
  .cfi_def_cfa t1, 0
  sub t0, sp, a0
  li t2, 0x5ec4e7
  slli t4, t2, 32
  or t2, t2, t4
1:
  addi sp, sp, -16
  sd t2, 8(sp)
  sd t2, 0(sp)
  bltu t0, sp, 1b
provoke_secret_end:
  li t2, 0
  mv sp, t1
  .cfi_def_cfa sp, 0
  ret
  .cfi_endproc
  .size provoke_secret, . - provoke_secret
  .type provoke_secret, @function

// _Noreturn void provoke_secret_far(uint64 sp, uint64 n): set sp, leave n bytes of secret there,
// ebreak.
  .globl provoke_secret_far
provoke_secret_far:
  .cfi_startproc
  mv t5, sp
  .cfi_def_cfa t5, 0
  mv sp, a0
  mv a0, a1
  .option push
  .option norelax
  call provoke_secret
  .option pop
  mv sp, t5
  ebreak
  .cfi_endproc
  .size provoke_secret_far, . - provoke_secret_far
  .type provoke_secret_far, @function
