// SPDX-License-Identifier: MIT
//
// The bounds that kernel.ld gives the image.  Virtual addresses, page-aligned where rights change.
#pragma once

#include "kern/lib/types.h"
#include "vm/layout.h"

extern char _start[];                  // first byte, at IMAGE_BASE
extern char vm_text[], vm_text_end[];  // what allocates or moves references
extern char text_end[], rodata_start[], rodata_end[], data_start[], bss_start[], bss_end[];
extern char boot_stack_guard[], boot_stack[], boot_stack_top[];
extern char image_end[];

// Return the physical address of a byte of the image.
static inline pa_t image_to_pa(const void *p) {
  return (pa_t)p - IMAGE_BASE + IMAGE_PA;
}
