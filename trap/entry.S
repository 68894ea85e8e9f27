// SPDX-License-Identifier: MIT
//
// Into the kernel and out again.
//
//              | in user mode                 | in the kernel
//     sscratch | this hart's struct hart *    | 0
//     tp       | the user's                   | this hart's struct hart *
//     sp       | the user's                   | the running stack; hart->stack_* records which
//
// sscratch disagrees with the mode only in the ranges marked [x ... x]; interrupts are off there.
// Nothing is stored through sp before sp is proven good.
//
// 1. Exchange tp and sscratch.  A nonzero tp says that the trap came from user mode.
// 2. From the kernel: prove sp.  It must be a multiple of 16, and the whole frame about to be
//    pushed must lie in the recorded stack.  From user mode: take sp from the record.
//    With VMAP_STACK=n nothing is proven, and step 4 is never reached from here.
// 3. Good: push the frame and call C.
//      syscall()                a system call, which has no stval and saves none
//      trap_user()              whatever else came from user mode
//      trap_kernel_exception()  an exception of the kernel
//      trap_kernel_interrupt()  an interrupt of the kernel: the record and sp move to this hart's
//                               interrupt stack together, and back to the thread's stack, where the
//                               frame is.  trap_preempt() may then switch to another thread.
//    C preserves s0 to s11, so after those two they still hold the user's values and are not
//    reloaded.  Frames built by fork and exec leave through trap_user_return, which loads all.
// 4. Bad: move the record and sp to this hart's emergency stack together, save everything as at
//    the fault, call kernel_fault().  If that returns, the stack has been enlarged: go on there.
// 5. Bad while the record is the emergency stack already: last_resort, which uses no stack.
//
// RISC-V privileged 4.1.1 (sstatus), 4.1.5 (sscratch), 4.1.7 (scause); unprivileged 8.2 (sc).
#include "kern/lib/csr.h"
#include "offsets.h"

  .cfi_sections .debug_frame

// DWARF has no column for sepc; GDB numbers the CSRs from 4096.
#define DWARF_SEPC 4096 + 0x141

// Store (or load) xN at 8*N of the frame at sp, for each N named.
.macro frame_each op, regs:vararg
  .irp n, \regs
  \op x\n, 8*\n(sp)
  .endr
.endm

// What an interrupted context looks like while sp points at its whole frame.
.macro cfi_frame
  .cfi_signal_frame
  .cfi_return_column DWARF_SEPC
  .cfi_def_cfa sp, TRAP_FRAME_SIZE
  .cfi_offset DWARF_SEPC, -TRAP_FRAME_SIZE
  .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  .cfi_offset \n, 8*\n - TRAP_FRAME_SIZE
  .endr
.endm

// Save sepc, stval, scause and sstatus in the frame at sp; clear SUM and FS.  Leaves scause in t0,
// clobbers t1.  With stval=0 that is left to the caller.
.macro frame_save_csrs stval=1
  csrr t0, sepc
  sd t0, FRAME_SEPC(sp)
  .if \stval
  csrr t1, stval
  sd t1, FRAME_STVAL(sp)
  .endif
  csrr t0, scause
  li t1, SSTATUS_SUM | SSTATUS_FS
  csrrc t1, sstatus, t1
  sd t0, FRAME_SCAUSE(sp)
  sd t1, FRAME_SSTATUS(sp)
.endm

// Load sstatus and sepc.  The sc, which rewrites sepc with itself, breaks any reservation: if the
// trap came between an lr and its sc, that sc must fail.  Clobbers t0, t1.
.macro frame_restore_csrs
  ld t0, FRAME_SSTATUS(sp)
  ld t1, FRAME_SEPC(sp)
  csrw sstatus, t0
  csrw sepc, t1
  sc.d zero, t1, (sp)
.endm

// Make the stack from lo to hi this hart's recorded one.  Clobbers tmp.  sp must follow before
// anything is accessed through it.
.macro set_record lo, hi, tmp
  addi \tmp, \lo, TRAP_FRAME_SIZE
  sd \lo, HART_STACK_LO(tp)
  sd \tmp, HART_STACK_FLOOR(tp)
  sd \hi, HART_STACK_HI(tp)
.endm

// Make this hart's emergency stack its recorded one, and remember which stack that was before.
// Leaves the bounds of the emergency stack in lo and hi, clobbers tmp.  sp must follow, as above.
.macro set_record_to_emergency lo, hi, tmp
  ld \lo, HART_STACK_LO(tp)
  ld \hi, HART_STACK_HI(tp)
  sd \lo, HART_VICTIM_LO(tp)
  sd \hi, HART_VICTIM_HI(tp)
  ld \lo, HART_EMERGENCY_LO(tp)
  ld \hi, HART_EMERGENCY_HI(tp)
  set_record \lo, \hi, \tmp
.endm

  .text

// void trap_entry(void): the trap vector of every hart.
  .globl trap_entry
  .balign 4
trap_entry:
  .cfi_startproc
  cfi_frame
  csrrw tp, sscratch, tp                  // 1 [x
  bnez tp, from_user
  csrrw tp, sscratch, zero                // x]

from_kernel:
  .globl stack_check, stack_check_end
stack_check:                              // 2
#if VMAP_STACK
  sd t0, HART_SPILL_T0(tp)
  andi t0, sp, 15
  bnez t0, bad_stack
  ld t0, HART_STACK_FLOOR(tp)
  bltu sp, t0, bad_stack
  ld t0, HART_STACK_HI(tp)
  bltu t0, sp, bad_stack
  ld t0, HART_SPILL_T0(tp)
#endif
stack_check_end:
  addi sp, sp, -TRAP_FRAME_SIZE           // 3
  frame_each sd, 1,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  addi t0, sp, TRAP_FRAME_SIZE
  sd t0, 8*2(sp)
  frame_save_csrs
  mv a0, sp
  bltz t0, interrupt_kernel
  call trap_kernel_exception
  .globl trap_kernel_returns_to
trap_kernel_returns_to:
  frame_restore_csrs
  frame_each ld, 1,3,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  ld x2, 8*2(sp)
  sret

interrupt_kernel:
  mv s0, sp
  .cfi_remember_state
  .cfi_def_cfa s0, TRAP_FRAME_SIZE
  ld t0, HART_INTERRUPT_LO(tp)
  ld t1, HART_INTERRUPT_HI(tp)
  set_record t0, t1, t2
  mv sp, t1
  call trap_kernel_interrupt
  .globl trap_kernel_interrupt_returns_to
trap_kernel_interrupt_returns_to:
  ld t2, HART_CURRENT(tp)
  ld t0, THREAD_STACK_LO(t2)
  ld t1, THREAD_STACK_HI(t2)
  set_record t0, t1, t2
  mv sp, s0
  .cfi_restore_state
  beqz a0, trap_kernel_returns_to
  mv a0, sp
  lla ra, trap_kernel_returns_to          // returns there, where a backtrace expects the frame
  j trap_preempt

other_from_user:                          // 3, of the next
  csrr t0, stval
  sd t0, FRAME_STVAL(sp)
  lla ra, trap_user_returns_to            // returns there, likewise
  j trap_user

from_user:                                // 2
  sd sp, HART_SPILL_SP(tp)
  ld sp, HART_STACK_HI(tp)
  addi sp, sp, -TRAP_FRAME_SIZE
  frame_each sd, 1,3,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  csrrw t0, sscratch, zero                // x]
  ld t1, HART_SPILL_SP(tp)
  sd t0, 8*4(sp)
  sd t1, 8*2(sp)
  frame_save_csrs stval=0
  mv a0, sp
  li t1, CAUSE_USER_ECALL
  bne t0, t1, other_from_user
  call syscall                            // 3
  .globl trap_user_returns_to
trap_user_returns_to:
  frame_restore_csrs
  csrw sscratch, tp                       // [x
  frame_each ld, 1,3,5,6,7,10,11,12,13,14,15,16,17,28,29,30,31
  ld x4, 8*4(sp)
  ld x2, 8*2(sp)
  sret                                    // x]

bad_stack:
  sd t1, HART_SPILL_T1(tp)
  ld t0, HART_EMERGENCY_HI(tp)
  ld t1, HART_STACK_HI(tp)
  beq t0, t1, bad_emergency_stack
  sd sp, HART_SPILL_SP(tp)                // 4
  set_record_to_emergency t1, t0, sp      // sp is saved, so it is free
  addi sp, t0, -TRAP_FRAME_SIZE
  ld t0, HART_SPILL_T0(tp)
  ld t1, HART_SPILL_T1(tp)
  frame_each sd, 1,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  ld t0, HART_SPILL_SP(tp)
  sd t0, 8*2(sp)
  frame_save_csrs
  mv a0, sp
  call kernel_fault
  ld t0, HART_VICTIM_LO(tp)               // it goes on, on an enlarged stack
  ld t1, HART_VICTIM_HI(tp)
  set_record t0, t1, t2                   // the frame is good: nothing faults before sp follows
  j trap_kernel_returns_to

bad_emergency_stack:                      // 5
  csrr s1, sepc
  csrr s2, scause
  csrr s3, stval
  mv s4, sp
  j last_resort
  .cfi_endproc

// _Noreturn void trap_user_return(struct trap_frame *frame)
// Leave for user mode through the frame, which is at the top of the running stack.  Interrupts are
// off.
  .globl trap_user_return
trap_user_return:
  mv sp, a0
  frame_each ld, 8,9,18,19,20,21,22,23,24,25,26,27
  j trap_user_returns_to

// _Noreturn void fault_on_emergency_stack(struct trap_frame *frame)
// Move this hart from a good stack to its emergency stack and call kernel_fault(frame) there.
// Interrupts are off.  The frame stays where it is; a debugger goes on there.
  .globl fault_on_emergency_stack
fault_on_emergency_stack:
  .cfi_startproc
  mv s0, a0
  cfi_frame
  .cfi_def_cfa s0, TRAP_FRAME_SIZE
  set_record_to_emergency t0, t1, t2
  mv sp, t1
  call kernel_fault
  unimp
  .cfi_endproc

// _Noreturn void leave_emergency_stack(void (*fn)(void))
// Set the record back to the victim's stack, empty it below the room of its user frame, and call
// fn there.  Interrupts are off.
  .globl leave_emergency_stack
leave_emergency_stack:
  .cfi_startproc
  .cfi_undefined ra
  ld t0, HART_VICTIM_LO(tp)
  ld t1, HART_VICTIM_HI(tp)
  set_record t0, t1, t2
  addi sp, t1, -TRAP_FRAME_SIZE
  li ra, 0
  li s0, 0
  jr a0
  .cfi_endproc

// bool probe_read(uint64 address, uint64 *value)
// Load 8 aligned bytes of memory that may not be there.  Returns whether they were.
// A fault at probe_load resumes at probe_failed.
  .globl probe_read, probe_load, probe_failed
probe_read:
  .cfi_startproc
probe_load:
  ld t0, 0(a0)
  sd t0, 0(a1)
  li a0, 1
  ret
probe_failed:
  li a0, 0
  ret
  .cfi_endproc
