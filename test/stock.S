// SPDX-License-Identifier: MIT
//
// A program as older toolchains of this family of systems made them: one segment at address 0 that
// asks for R, W and X; it starts at main itself, which never returns; text and data share pages;
// numbers in a7, nothing in a1 that sbrk could take for a wish.  The test links it with
// -N -e main -Ttext 0.
//
// stock word: writes the word, proves that its data can be written, forks, waits, and exits with
// argc.  Any surprise ends it with status 100 and up.

  .macro must, condition:vararg
  \condition, 1f
  li a0, 100 + \@
  li a7, 2
  ecall
1:
  .endm

  .text
  .globl main
main:
  mv s0, a0  // argc
  mv s1, a1  // argv
  li t0, 2
  must beq a0, t0
  andi t0, sp, 15
  must beqz t0
  must bne s1, zero
  must beq s1, sp  // the pointers lie where sp points
  ld t0, 16(s1)
  must beqz t0

  ld s2, 8(s1)  // the word, one byte at a time
2:
  lbu t0, 0(s2)
  beqz t0, 3f
  li a0, 1
  mv a1, s2
  li a2, 1
  li a7, 16
  ecall
  li t0, 1
  must beq a0, t0
  addi s2, s2, 1
  j 2b

3:
  la t0, counter  // data beside the text
  lw t1, 0(t0)
  addi t1, t1, 1
  sw t1, 0(t0)
  lw t1, 0(t0)
  li t2, 42
  must beq t1, t2

  li a0, 4096  // sbrk, with rubbish where the later interface has its second argument
  li a1, 0x7777
  li a7, 12
  ecall
  mv s3, a0
  li t0, -1
  must bne a0, t0
  sd s3, 0(s3)
  ld t0, 2040(s3)
  must beqz t0

  li a7, 1  // fork
  ecall
  must bge a0, zero
  bnez a0, 4f
  li a0, 9
  li a7, 2
  ecall
4:
  mv s4, a0
  la a0, status
  li a7, 3  // wait
  ecall
  must beq a0, s4
  lw t0, status
  li t1, 9
  must beq t0, t1

  li a0, 1  // the old name of pause
  li a7, 13
  ecall
  must beqz a0

  mv a0, s0
  li a7, 2
  ecall

  .data
counter:
  .word 41
status:
  .word 0
