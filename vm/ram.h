// SPDX-License-Identifier: MIT
//
// RAM: how much there is, what of it is usable, pointers to it, and what the boot allocates from
// it.
#pragma once

#include "kern/lib/types.h"
#include "vm/layout.h"

// Return the kernel's pointer to the byte at pa, through the direct map.  pa must be in usable RAM.
static inline void *pa_to_ptr(pa_t pa) {
  return (void *)(DIRECT_BASE + pa);
}

// Return the physical address of a byte of the direct map.
static inline pa_t ptr_to_pa(const void *p) {
  return (pa_t)p - DIRECT_BASE;
}

// Return the bytes of RAM in all banks.
uint64 ram_size(void);

// Take size bytes (rounded up to pages, zeroed) from RAM for good.  Returns the physical address;
// panics when memory is too small, and says how large it is.  Boot only, before page_init.
pa_t boot_alloc(uint64 size);

// Find the first run of usable pages at or above *start, and set *start to where it begins. Returns
// its end, or 0 when there is none.
pa_t ram_next(pa_t *start);

// Leave the rest to the page allocator: from here on boot_alloc panics.
void ram_close(void);
