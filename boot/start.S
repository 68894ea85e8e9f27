// SPDX-License-Identifier: MIT
//
// From the firmware to C.
//
//           | boot hart, from firmware | other harts              | in C
//     a0    | mhartid                  | mhartid
//     a1    | device tree (physical)   | any
//     satp  | 0                        | 0                        | early, then final
//     sie   | 0                        | 0                        | 0
//     stvec | any                      | any                      | early_trap
//     tp    | any                      | any                      | this hart's struct hart *
//
// 1. stvec = early_trap, physical.  Turn off what firmware may have left on: FS and VS would stay
//    on in user mode, and nothing saves vector registers.
// 2. satp = the early table; it also maps this code where it runs.
// 3. Jump to the high half, stvec = early_trap, virtual.
// 4. tp, sscratch = 0, a stack, C.
//
// The first hart to enter boots.  Any other, wherever it enters, waits until the harts' structs
// exist and finds its own by its number, not by what is in a1.  Firmware without HSM sends all
// harts to _start, and OpenSBI up to 1.2 sometimes does so, because its hart_start makes the new
// state visible before the new address.
//
// The early table maps the image at IMAGE_BASE, the gigapage it runs in at its physical address,
// and the gigapages of the image and of the device tree in the direct map, all of it writable and
// executable; boot/main.c leaves it as soon as the final one exists.
// RISC-V SBI 9 (HSM), RISC-V privileged 4.4.
#include "kern/lib/csr.h"
#include "offsets.h"
#include "vm/layout.h"

#define LEAF               0xcf  // V R W X A D
#define ROOT_INDEX(va)     (((va) >> 30) & 0x1ff)
#define SATP_MODE          (8 << 60)
#define FDT_MAX            0x100000  // the tree may reach into the next gigapage

  .cfi_sections .debug_frame

// Enter in the early root at t0, for the gigapage of physical address \pa, a leaf at root index
// \base + its number.  Clobbers t1, t2.
.macro early_gigapage pa, base
  srli t1, \pa, 30
  slli t2, t1, 28         // the gigapage's number in a PTE: pa >> 12 << 10
  ori t2, t2, LEAF
  addi t1, t1, \base
  slli t1, t1, 3
  add t1, t0, t1
  sd t2, 0(t1)
.endm

// Clobbers t0.
.macro take_hart
  lla t0, early_trap                     // 1
  csrw stvec, t0
  csrw sie, zero
  li t0, SSTATUS_SIE | SSTATUS_VS | SSTATUS_FS | SSTATUS_SUM | SSTATUS_MXR
  csrc sstatus, t0
.endm

// satp = the early table; go on in the high half; stvec = early_trap there.  Clobbers t0, t1.
.macro enter_high_half
  lla t0, early_root                     // 2
  srli t0, t0, PAGE_SHIFT
  li t1, SATP_MODE
  or t0, t0, t1
  sfence.vma
  csrw satp, t0
  sfence.vma
  lla t0, 1f                             // 3
  lla t1, _start
  sub t0, t0, t1
  li t1, IMAGE_BASE
  add t0, t0, t1
  jr t0
1:
  lla t0, early_trap
  csrw stvec, t0
.endm

  .section .text.start, "ax"

// _Noreturn void _start(uint64 hartid, pa_t fdt): the lowest byte of the image.
  .globl _start
_start:
  .cfi_startproc
  .cfi_undefined ra
  take_hart
  lla t0, boot_taken
  li t1, 1
  amoswap.w.aqrl t1, t1, (t0)
  bnez t1, secondary_start
  mv s0, a0
  mv s1, a1
  lla t0, bss_start
  lla t1, bss_end
1:
  sd zero, 0(t0)
  addi t0, t0, 8
  bltu t0, t1, 1b

  lla t0, early_root
  lla t3, _start
  early_gigapage t3, 0
  early_gigapage t3, ROOT_INDEX(DIRECT_BASE)
  early_gigapage s1, ROOT_INDEX(DIRECT_BASE)
  li t4, FDT_MAX
  add t4, s1, t4
  early_gigapage t4, ROOT_INDEX(DIRECT_BASE)
  lla t4, early_image
  srli t1, t4, 2                         // pa >> 12 << 10
  ori t1, t1, 1
  li t2, ROOT_INDEX(IMAGE_BASE) * 8
  add t2, t0, t2
  sd t1, 0(t2)
  srli t1, t3, 2
  ori t1, t1, LEAF
  li t2, IMAGE_MAX >> 21
  li t3, 1 << 19                         // 2 MiB in a PTE
1:
  sd t1, 0(t4)
  add t1, t1, t3
  addi t4, t4, 8
  addi t2, t2, -1
  bnez t2, 1b

  enter_high_half
  lla tp, harts                          // 4
  csrw sscratch, zero
  lla sp, boot_stack_top
  mv a0, s0
  mv a1, s1
  li s0, 0
  call boot_main
  unimp
  .cfi_endproc

// _Noreturn void secondary_start(uint64 hartid)
  .globl secondary_start
secondary_start:
  .cfi_startproc
  .cfi_undefined ra
  take_hart
  lla t0, boot_harts_ready
1:
  lw t1, 0(t0)
  beqz t1, 1b
  fence r, rw
  enter_high_half
  lla tp, harts
  lla t0, hart_count
  lwu t0, 0(t0)
2:
  ld t1, HART_ID(tp)
  beq t1, a0, 3f
  addi tp, tp, HART_SIZE
  addi t0, t0, -1
  bnez t0, 2b
park:                                    // there is no struct for this hart: one too many
  wfi
  j park
3:
  ld t0, HART_SATP(tp)
  csrw satp, t0
  sfence.vma
  fence.i
  csrw sscratch, zero                    // 4
  lla t0, boot_secondary
  j enter_stack
  .cfi_endproc

// _Noreturn void boot_enter_stack(void (*fn)(void))
// Leave the boot stack for the top of the stack in this hart's record, take traps at trap_entry
// from now on, call fn.
  .globl boot_enter_stack
boot_enter_stack:
  .cfi_startproc
  .cfi_undefined ra
  mv t0, a0
enter_stack:
  ld sp, HART_STACK_HI(tp)
  lla t1, trap_entry
  csrw stvec, t1
  li s0, 0
  li ra, 0
  jr t0
  .cfi_endproc

  .data
  .balign 4
boot_taken:                              // a hart boots, or has booted; bss is cleared later
  .word 0
  .globl boot_harts_ready
boot_harts_ready:
  .word 0

  .bss
  .balign PAGE_SIZE
  .globl early_root
early_root:
  .zero PAGE_SIZE
early_image:
  .zero PAGE_SIZE
