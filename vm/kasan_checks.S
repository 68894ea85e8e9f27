// SPDX-License-Identifier: MIT
//
// The checks that the compiler calls before each load and store of C code (KASAN=y).
//
// 1. The shadow byte of the address.  If nothing is mapped there, the trap goes on at
//    kasan_no_shadow: then the access itself is what faults, if any does.
// 2. 0: all is well; 1 to 7: only that many of the 8 bytes may be accessed; negative: none.
//
// All this without a stack: where one runs out, that is due to the function whose frame it is.
#include "vm/layout.h"

  .cfi_sections .debug_frame
  .text

// t0 = where the shadow of a0 stands.  Clobbers t1.  The shift keeps the sign, which takes away the
// uppermost bits of the offset and spares an instruction.
.macro shadow
  srai t0, a0, SHADOW_SHIFT
  li t1, SHADOW_OFFSET + (1 << (64 - SHADOW_SHIFT))
  add t0, t0, t1
.endm

// void __asan_load1_noabort(uint64 address), and so on: an aligned access of that many bytes.
.macro check op, size, write
  .globl __asan_\op\size\()_noabort
__asan_\op\size\()_noabort:
  .cfi_startproc
  shadow                                  // 1
  lb t0, 0(t0)
  bnez t0, 2f
1:
  ret
2:                                        // 2
  .if \size < 8
  andi t1, a0, 7
  addi t1, t1, \size - 1
  blt t1, t0, 1b
  .endif
  li a1, \size
  li a2, \write
  mv a3, ra
  tail kasan_bad_access
  .cfi_endproc
.endm

  .globl kasan_checks, kasan_checks_end
kasan_checks:
  .irp size, 1, 2, 4, 8
  check load, \size, 0
  check store, \size, 1
  .endr

// void __asan_loadN_noabort(uint64 address, uint64 size), and of 16 bytes.
.macro check_range name, write
  .globl __asan_\name\()16_noabort, __asan_\name\()N_noabort
__asan_\name\()16_noabort:
  li a1, 16
__asan_\name\()N_noabort:
  li a2, \write
  mv a3, ra
  tail kasan_check_range
.endm

  check_range load, 0
  check_range store, 1

// uint64 kasan_shadow_word(uint64 address): the shadow of the 64 bytes that the address is among,
// or 0 where there is none.
  .globl kasan_shadow_word, kasan_no_shadow
kasan_shadow_word:
  .cfi_startproc
  shadow
  andi t0, t0, -8
  ld a0, 0(t0)
  ret
kasan_checks_end:
kasan_no_shadow:
  li a0, 0
  ret
  .cfi_endproc
