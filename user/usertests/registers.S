// SPDX-License-Identifier: MIT
//
// Tests that a program's registers survive calls and preemption, and a program to be executed.

// long registers_kept(long number, long times, long seed)
//
//   a7 = number, s11 = times left, s10 = seed; every other register xN but sp, and a0 which the
//   call changes, holds seed + N.  With number < 0 no call is made.
  .text
  .globl registers_kept
  .type registers_kept, @function
registers_kept:
  addi sp, sp, -128
  .set slot, 0
  .irp r, ra, gp, tp, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11
  sd \r, slot(sp)
  .set slot, slot + 8
  .endr
  mv a7, a0
  mv s11, a1
  mv s10, a2
  .irp n, 1, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, \
      18, 19, 20, 21, 22, 23, 24, 25, 28, 29, 30, 31
  addi x\n, s10, \n
  .endr
1:
  bltz a7, 2f
  ecall
2:
  .irp n, 1, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, \
      18, 19, 20, 21, 22, 23, 24, 25, 28, 29, 30, 31
  li a0, \n
  add a0, a0, s10
  bne a0, x\n, 3f
  .endr
  addi s11, s11, -1
  bgtz s11, 1b
  mv a0, s10  // nothing has changed: 0
3:
  sub a0, a0, s10
  .set slot, 0
  .irp r, ra, gp, tp, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11
  ld \r, slot(sp)
  .set slot, slot + 8
  .endr
  addi sp, sp, 128
  ret
  .size registers_kept, . - registers_kept

// long reservation_kept(long number, long *word)
  .globl reservation_kept
  .type reservation_kept, @function
reservation_kept:
  mv a7, a0
  li a0, 1  // what calls with one argument get
  lr.d t0, (a1)
  ecall
  sc.d t1, t0, (a1)
  seqz a0, t1
  ret
  .size reservation_kept, . - reservation_kept

// void floats_set(long seed): fN = the bits seed * (N + 1); fcsr = seed & 0x1f.
  .globl floats_set
  .type floats_set, @function
floats_set:
  mv t0, a0
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \
      16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  fmv.d.x f\n, t0
  add t0, t0, a0
  .endr
  andi t0, a0, 0x1f
  fscsr t0
  ret
  .size floats_set, . - floats_set

// long floats_check(long seed)
  .globl floats_check
  .type floats_check, @function
floats_check:
  mv t0, a0
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \
      16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  fmv.x.d t1, f\n
  li t2, \n
  bne t0, t1, 1f
  add t0, t0, a0
  .endr
  li t2, 32
  frcsr t1
  andi t0, a0, 0x1f
  bne t0, t1, 1f
  li t2, -1
1:
  mv a0, t2
  ret
  .size floats_check, . - floats_check

// long floats_kept(long number, long times, long seed)
  .globl floats_kept
  .type floats_kept, @function
floats_kept:
  addi sp, sp, -32
  sd ra, 0(sp)
  sd s1, 8(sp)
  sd s2, 16(sp)
  mv a7, a0
  mv s1, a1
  mv s2, a2
  mv a0, a2
  call floats_set
1:
  li a0, 1  // what calls with one argument get
  bltz a7, 2f
  ecall
2:
  mv a0, s2
  call floats_check
  bgez a0, 3f
  addi s1, s1, -1
  bgtz s1, 1b
3:
  ld ra, 0(sp)
  ld s1, 8(sp)
  ld s2, 16(sp)
  addi sp, sp, 32
  ret
  .size floats_kept, . - floats_kept

// The program that changes its own text.
  .section .rodata
  .globl writer_begin, writer_end
  .balign 16
writer_begin:
  .option push
  .option norvc
1:
  auipc t0, %pcrel_hi(1b)
  sw zero, 0(t0)
  li a0, 7
  li a7, 2
  ecall
  .option pop
writer_end:
