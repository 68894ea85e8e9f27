// SPDX-License-Identifier: MIT
//
// The only code that runs with SUM set.  A page fault at a pc in [usercopy_begin, usercopy_end) is
// usercopy_fault's (vm/usercopy.c): it returns here to try again, or to usercopy_fixup.
//
//   |      | copy          | string                | fix-up                     |
//   | a0   | to            | to                    | what it returns: -EFAULT   |
//   | a1   | from          | from                  |                            |
//   | a2   | bytes         | bytes, more than 0    |                            |
//   | t5   | 8             |                       |                            |
//   | t6   | SSTATUS_SUM   | SSTATUS_SUM           | anything                   |
//
// These are leaves without a stack, so the fix-up returns to their caller by ra.
#include "kern/lib/csr.h"

// Copy eight words at an offset: all loads first, so that their latencies overlap.
.macro copy_8_words at
  ld t1, \at(a1)
  ld t2, \at + 8(a1)
  ld t3, \at + 16(a1)
  ld t4, \at + 24(a1)
  ld a3, \at + 32(a1)
  ld a4, \at + 40(a1)
  ld a5, \at + 48(a1)
  ld a6, \at + 56(a1)
  sd t1, \at(a0)
  sd t2, \at + 8(a0)
  sd t3, \at + 16(a0)
  sd t4, \at + 24(a0)
  sd a3, \at + 32(a0)
  sd a4, \at + 40(a0)
  sd a5, \at + 48(a0)
  sd a6, \at + 56(a0)
.endm

  .text
  .globl usercopy_begin
usercopy_begin:

// int usercopy_copy(uint64 to, uint64 from, uint64 bytes);  Returns 0, or -EFAULT.
//
// 1. Bytes, until both are aligned to words; all of them if they are fewer than a word.
// 2. Eight words, if their number has that bit; then sixteen a turn.  a7: where the turns end.
// 3. Words.
// 4. The bytes that are left.
  .globl usercopy_copy
  .type usercopy_copy, @function
  .align 4
usercopy_copy:
  .cfi_startproc
  li t6, SSTATUS_SUM
  csrs sstatus, t6
  li t5, 8
  bltu a2, t5, copy_bytes
  xor t0, a0, a1
  andi t0, t0, 7
  bnez t0, copy_apart
  andi t0, a0, 7
  beqz t0, copy_blocks
1:                        // 1.
  lbu t1, 0(a1)
  sb t1, 0(a0)
  addi a0, a0, 1
  addi a1, a1, 1
  addi a2, a2, -1
  andi t0, a0, 7
  bnez t0, 1b
copy_blocks:              // 2.
  andi t0, a2, 64
  beqz t0, 2f
  copy_8_words 0
  addi a1, a1, 64
  addi a0, a0, 64
2:
  andi a7, a2, -128
  andi a2, a2, 63
  beqz a7, copy_words
  add a7, a7, a1
3:
  copy_8_words 0
  copy_8_words 64
  addi a1, a1, 128
  addi a0, a0, 128
  bne a1, a7, 3b
copy_words:               // 3.
  bltu a2, t5, copy_bytes
3:
  ld t1, 0(a1)
  addi a1, a1, 8
  addi a2, a2, -8
  sd t1, 0(a0)
  addi a0, a0, 8
  bgeu a2, t5, 3b
copy_bytes:               // 4.
  beqz a2, copy_done
4:
  lbu t1, 0(a1)
  addi a1, a1, 1
  addi a2, a2, -1
  sb t1, 0(a0)
  addi a0, a0, 1
  bnez a2, 4b
copy_done:
  csrc sstatus, t6
  li a0, 0
  ret

// The two are aligned differently.  Align the target; then each word stored is put together of the
// two aligned words that it straddles.  No word is loaded that holds no byte of the source, so no
// page is touched that the caller did not name.
//
// 5. Bytes, until the target is aligned; all of them if they are few.
// 6. a3: bytes by which the source is past a word; a4, a5: shifts; t1: the word before.
// 7. A word a turn.
copy_apart:
  li t0, 16
  bltu a2, t0, copy_bytes
5:                        // 5.
  andi t0, a0, 7
  beqz t0, 6f
  lbu t1, 0(a1)
  sb t1, 0(a0)
  addi a0, a0, 1
  addi a1, a1, 1
  addi a2, a2, -1
  j 5b
6:                        // 6.
  andi a3, a1, 7
  sub a1, a1, a3
  slli a4, a3, 3
  neg a5, a4              // a shift uses the low six bits: 64 - a4
  ld t1, 0(a1)
7:                        // 7.
  ld t2, 8(a1)
  addi a1, a1, 8
  addi a2, a2, -8
  srl t1, t1, a4
  sll t3, t2, a5
  or t1, t1, t3
  sd t1, 0(a0)
  mv t1, t2
  addi a0, a0, 8
  bgeu a2, t5, 7b
  add a1, a1, a3
  j copy_bytes
  .cfi_endproc
  .size usercopy_copy, . - usercopy_copy

// int64 usercopy_string(uint64 to, uint64 from, uint64 bytes);  Copies up to a zero byte, or all.
// Returns how many bytes stand before the zero byte, bytes if there is none, or -EFAULT.
  .globl usercopy_string
  .type usercopy_string, @function
  .align 4
usercopy_string:
  .cfi_startproc
  li t6, SSTATUS_SUM
  csrs sstatus, t6
  mv t0, a1
  add t1, a1, a2
1:
  lbu t2, 0(a1)
  sb t2, 0(a0)
  beqz t2, 2f
  addi a0, a0, 1
  addi a1, a1, 1
  bne a1, t1, 1b
2:
  csrc sstatus, t6
  sub a0, a1, t0
  ret
  .cfi_endproc
  .size usercopy_string, . - usercopy_string

  .globl usercopy_fixup
  .type usercopy_fixup, @function
usercopy_fixup:
  .cfi_startproc
  li t6, SSTATUS_SUM
  csrc sstatus, t6
  ret
  .cfi_endproc
  .size usercopy_fixup, . - usercopy_fixup

  .globl usercopy_end
usercopy_end:
