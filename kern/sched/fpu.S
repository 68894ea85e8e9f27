// SPDX-License-Identifier: MIT
//
// Floating-point registers to memory and back.  The kernel's FS is off except in these routines.

#include "kern/lib/csr.h"

  .cfi_sections .debug_frame
  .text

// void fpu_save(uint64 *state);
  .globl fpu_save
fpu_save:
  .cfi_startproc
  li t0, SSTATUS_FS
  csrs sstatus, t0
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, \
    24, 25, 26, 27, 28, 29, 30, 31
  fsd f\n, 8 * \n(a0)
  .endr
  csrr t1, fcsr
  sd t1, 8 * 32(a0)
  csrc sstatus, t0
  ret
  .cfi_endproc

// void fpu_load(const uint64 *state);
  .globl fpu_load
fpu_load:
  .cfi_startproc
  li t0, SSTATUS_FS
  csrs sstatus, t0
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, \
    24, 25, 26, 27, 28, 29, 30, 31
  fld f\n, 8 * \n(a0)
  .endr
  ld t1, 8 * 32(a0)
  csrw fcsr, t1
  csrc sstatus, t0
  ret
  .cfi_endproc
