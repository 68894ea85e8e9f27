// SPDX-License-Identifier: MIT
//
// Where a program begins: a0 = argc, a1 = argv, sp 16-aligned; main's result is the exit status.

  .section .text.start, "ax"
  .globl _start
  .type _start, @function
_start:
  .cfi_startproc
  .cfi_undefined ra
  .option push
  .option norelax
  la gp, __global_pointer$
  .option pop
  li fp, 0
  call main
  call exit
  .cfi_endproc
  .size _start, . - _start
