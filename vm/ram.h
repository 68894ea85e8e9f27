// SPDX-License-Identifier: MIT
//
// RAM: how much there is, what of it is usable, pointers to it, and what the boot allocates from
// it.
#pragma once

#include "kern/lib/machine.h"
#include "kern/lib/types.h"
#include "vm/layout.h"

#define RAM_RUNS_MAX (2 * MACHINE_RANGES + 1)  // a hole cuts one run in two: reserved or the image

// A run of usable pages.  boot_alloc takes from its end, and page_init what is left.
struct ram_run {
  pa_t base;      // [I]
  pa_t free_end;  // where it is taken from on
  pa_t end;       // [I]
};

extern struct ram_run ram_runs[RAM_RUNS_MAX];  // by base
extern uint32 ram_run_count;                   // [I]

// Return the kernel's pointer to the byte at pa, through the direct map.  pa must be in usable RAM.
static inline void *pa_to_ptr(pa_t pa) {
  return (void *)(DIRECT_BASE + pa);
}

// Return the physical address of a byte of the direct map.
static inline pa_t ptr_to_pa(const void *p) {
  return (pa_t)p - DIRECT_BASE;
}

// Find the runs.  Boot only, before the functions below.
void ram_init(void);

// Return the bytes of RAM in all banks.
uint64 ram_size(void);

// Take size bytes (rounded up to pages, zeroed) from RAM for good.  Returns the physical address;
// panics when memory is too small, and says how large it is.  Boot only, before page_init.
pa_t boot_alloc(uint64 size);
