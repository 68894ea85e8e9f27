// SPDX-License-Identifier: MIT
//
// The checks that the compiler calls before each load and store of C code (KASAN=y).
//
// 1. Devices have no shadow, and are used too often to find that out by a trap.
// 2. The shadow byte of the address.  If nothing is mapped there, the trap goes on at
//    kasan_no_shadow: then the access itself is what faults, if any does.
// 3. 0: all is well; 1 to 7: so many of the 8 bytes may be accessed; negative: none.
//
// All this without a stack: where one runs out, that is due to the function whose frame it is.
#include "vm/layout.h"

#define GIGAPAGE_SHIFT 30  // all devices lie in one

  .cfi_sections .debug_frame
  .text

// void __asan_load1_noabort(uint64 address), and so on: an access of so many bytes, aligned.
.macro check size
  .globl __asan_load\size\()_noabort, __asan_store\size\()_noabort
__asan_load\size\()_noabort:
  li a1, \size
  li a2, 0
  j kasan_check
__asan_store\size\()_noabort:
  li a1, \size
  li a2, 1
  j kasan_check
.endm

// t0 = where the shadow of a0 stands.  Clobbers t1.
.macro shadow
  srli t0, a0, SHADOW_SHIFT
  li t1, SHADOW_OFFSET
  add t0, t0, t1
.endm

  check 1
  check 2
  check 4
  check 8

kasan_check:
  .cfi_startproc
  li t0, DEVICE_BASE                      // 1
  sub t0, a0, t0
  srli t0, t0, GIGAPAGE_SHIFT
  beqz t0, 1f
  shadow                                  // 2
  .globl kasan_load_byte
kasan_load_byte:
  lb t0, 0(t0)
  bnez t0, 2f
1:
  ret
2:                                        // 3
  andi t1, a0, 7
  add t1, t1, a1
  addi t1, t1, -1
  blt t1, t0, 1b
  mv a3, ra
  tail kasan_bad_access
  .cfi_endproc

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
  .globl kasan_shadow_word, kasan_load_word, kasan_no_shadow
kasan_shadow_word:
  .cfi_startproc
  shadow
  andi t0, t0, -8
kasan_load_word:
  ld a0, 0(t0)
  ret
kasan_no_shadow:
  li a0, 0
  ret
  .cfi_endproc
