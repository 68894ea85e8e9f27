// SPDX-License-Identifier: MIT
//
// Virtually contiguous kernel memory in arenas with unmapped guards.
//
// I1. An arena's page tables exist from boot on: mapping allocates no table and touches no root
// entry. I2. An arena is cut in granules; each has a struct vm_area, so freeing allocates nothing.
// I3. Neither frames nor addresses of a freed area are reused before every hart has fenced.
#pragma once

#include "kern/lib/spinlock.h"
#include "kern/lib/types.h"
#include "vm/arena.h"
#include "vm/pagetable.h"

enum area_state { AREA_FREE, AREA_LIVE, AREA_LAZY };

// [v] arena's lock  [I] while live
struct vm_area {
  vaddr_t base;           // [I] first mapped byte
  uint64 size;            // [I] bytes mapped, a multiple of the page size
  uint32 granules;        // [I] granules the area takes, guards included
  uint32 first;           // [I] index of the area's first granule (also set in its other granules)
  uint64 generation;      // [I] in which it was mapped (vm/tlb.h)
  enum area_state state;  // [v]
  int pid;                // [a] owner, by value; 0: the kernel
  char name[16];          // [a] owner, by value
};

struct vmalloc_arena;
extern struct vmalloc_arena vmalloc_general;  // the general window; granule 64 KiB, guard above
extern struct vmalloc_arena
    vmalloc_stacks;  // the kernel-stack window; granule one slot, guard below

// Lay out both arenas over their windows and fill their page tables.  Boot only, before any user
// page table exists.
void vmalloc_init(void);

// Allocate size bytes (rounded up to pages) aligned to align (a power of two, at most the granule),
// pages taken one by one, mapped with prot.  Fences this hart.  Returns NULL on no memory or no
// room, having undone everything.  Does not sleep.
struct vm_area *vmalloc_range(struct vmalloc_arena *arena, uint64 size, uint64 align,
                              enum prot prot);

// Unmap the area.  Its frames and addresses return after the next fence of all harts.
// Does not sleep.  Any context.
void vmalloc_free(struct vm_area *area);

// Return the area, live or lazy, whose granules contain va, or NULL.  Takes no lock.
struct vm_area *vmalloc_find(struct vmalloc_arena *arena, vaddr_t va);

// Fence all harts and return every lazily freed frame and address.  Returns the pages returned.
uint64 vmalloc_drain(void);
