// SPDX-License-Identifier: MIT
//
// System calls as programs of this family of systems make them: the number in a7, nothing else.

  .macro call name, number
  .globl \name
\name:
  li a7, \number
  ecall
  ret
  .endm

  call fork, 1
  call exit, 2
  call wait, 3
  call pipe, 4
  call read, 5
  call kill, 6
  call exec, 7
  call fstat, 8
  call chdir, 9
  call dup, 10
  call getpid, 11
  call sbrk, 12
  call pause, 13
  call uptime, 14
  call open, 15
  call write, 16
  call mknod, 17
  call unlink, 18
  call link, 19
  call mkdir, 20
  call close, 21
  call nothing, 22
