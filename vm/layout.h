// SPDX-License-Identifier: MIT
//
// The memory map, Sv39.  C, assembly and kernel.ld read this one header.
//
//   0xffff_ffff_8000_0000  kernel image: text RX, rodata R, data RW        IMAGE_BASE
//   0xffff_fffc_0000_0000  end of the kernel-stack window                  KSTACK_END
//          ...             slots of 32 KiB: 16 KiB guard, 16 KiB stack
//   0xffff_fff8_0000_0000  kernel-stack window                             KSTACK_BASE
//   0xffff_fff4_0000_0000  general vmalloc window, 16 GiB                  VMALLOC_BASE
//   0xffff_fff0_0000_0000  devices, 1 GiB                                  DEVICE_BASE
//   0xffff_ffe0_0000_0000  shadow of the kernel half, 32 GiB (KASAN=y)      SHADOW_BASE
//   0xffff_ffc0_0000_0000  direct map: RAM at its physical address + this  DIRECT_BASE
//   ---------------------  not canonical
//   0x0000_0040_0000_0000  end of the user half                            USER_END
//   0x0000_0000_0000_0000  user half
//
// The kernel half is the same in every page table: its root entries are filled at boot.
#pragma once

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096

#ifdef __ASSEMBLER__
#define LAYOUT_UL(x) x
#else
#define LAYOUT_UL(x) x##UL
#endif

#define USER_END     LAYOUT_UL(0x4000000000)
#define DIRECT_BASE  LAYOUT_UL(0xffffffc000000000)
#define DIRECT_END   LAYOUT_UL(0xffffffe000000000)
#define SHADOW_BASE  LAYOUT_UL(0xffffffe000000000)
#define SHADOW_END   LAYOUT_UL(0xffffffe800000000)
#define DEVICE_BASE  LAYOUT_UL(0xfffffff000000000)
#define DEVICE_END   LAYOUT_UL(0xfffffff040000000)
#define VMALLOC_BASE LAYOUT_UL(0xfffffff400000000)
#define VMALLOC_END  LAYOUT_UL(0xfffffff800000000)
#define KSTACK_BASE  LAYOUT_UL(0xfffffff800000000)
#define KSTACK_END   LAYOUT_UL(0xfffffffc00000000)
#define IMAGE_BASE   LAYOUT_UL(0xffffffff80000000)
#define IMAGE_PA     LAYOUT_UL(0x80200000)  // where the firmware jumps to
#define IMAGE_MAX    LAYOUT_UL(0x1000000)   // 16 MiB, mapped by the early page table

#define KSTACK_SIZE       16384  // stack half of a slot
#define KSTACK_GUARD      16384  // guard half, below it
#define KSTACK_SLOT       32768  // both; slots are aligned to this
#define KSTACK_RESERVE    8192   // upper part of the guard, mapped once the stack has run out
#define KSTACK_SLOT_SHIFT 15

// A byte of shadow stands for 8 bytes, that of address a at (a >> SHADOW_SHIFT) + SHADOW_OFFSET.
#define SHADOW_SHIFT  3
#define SHADOW_OFFSET LAYOUT_UL(0xdfffffe800000000)
