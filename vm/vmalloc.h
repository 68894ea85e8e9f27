// SPDX-License-Identifier: MIT
//
// Virtually contiguous kernel memory in arenas with unmapped guards.
//
// I1. An arena's page tables exist from boot on: mapping allocates no table and touches no root
//     entry.
// I2. An arena is cut in granules; each has a struct vm_area, so freeing allocates nothing.
// I3. Neither frames nor addresses of a freed area are reused before every hart has fenced.
#pragma once

#include "kern/lib/spinlock.h"
#include "kern/lib/types.h"
#include "vm/arena.h"
#include "vm/kasan_shadow.h"
#include "vm/pagetable.h"

enum area_state { AREA_FREE, AREA_LIVE, AREA_LAZY };

// [v] arena's lock  [I] from when its granules are taken until they are given back
struct vm_area {
  struct vmalloc_arena *arena;  // [I] that it is in
  vaddr_t base;                 // [I] first mapped byte; with KSTACK_GROW=y a stack's falls, and
  uint64 pages;                 // [I] that are mapped: more of them, by its owner alone
  uint32 granules;              // [I] granules the area takes, guards included
  uint32 first;                 // [I] index of its first granule (also set in its other granules)
  uint64 generation;            // [I] in which it was mapped (vm/tlb.h)
  uint64 maker;                 // [I] address of the code that asked for it
  struct vm_area *lazy_next;    // [v]
  enum area_state state;        // [v]
  KASAN_NOTE                    // [I]
      KASAN_GRANULE_SHADOW      // [I] of this granule, whichever area it is in
};

// [v] lock  [I] fixed after boot
struct vmalloc_arena {
  struct spinlock lock;
  struct arena granules;  // [v]
  struct vm_area *lazy;   // [v] freed, not yet fenced; their entries keep the frames, without V
  uint32 lazy_count;      // [v]
  uint32 shift;           // [I] a granule is 2^shift bytes
  uint32 guard_below;     // [I] bytes left unmapped in each area, below and above
  uint32 guard_above;     // [I]
  vaddr_t base, end;      // [I] the window
  pte_t *ptes;            // [I] the level-0 entries of all granules, in one array
  struct vm_area *areas;  // [I] one a granule
  struct vmalloc_arena *next;  // [I] arena added before this one
  KASAN_ARENA_SHADOW           // [I] the level-0 entries of the granules' shadow
};

extern struct vmalloc_arena vmalloc_general;  // granule 32 KiB, a page of guard above

// Lay out vmalloc_general.  Boot only, before any user page table exists and before page_init.
void vmalloc_init(void);

// Lay out an arena, whose lock, shift, guards, base and end are set, over size bytes of its window
// (all of it if that is less), and link its page tables.  Boot only, as vmalloc_init.
void vmalloc_add_arena(struct vmalloc_arena *arena, uint64 size);

// Allocate size bytes (rounded up to pages), which begin guard_below bytes into the first granule:
// zeroed pages, taken one by one, mapped for reading and writing.  Fences this hart.  Returns NULL
// when memory or addresses ran out, having undone everything.  Size 0 reserves an address and maps
// nothing.  Does not sleep.  The caller holds no lock of this room.
struct vm_area *vmalloc_range(struct vmalloc_arena *arena, uint64 size);

// Unmap the area.  Its frames and addresses come back after the next fence of all harts.
// Does not sleep.  Any context.
void vmalloc_free(struct vm_area *area);

// Return the area, live or lazy, whose granules contain va, or NULL.  Takes no lock.
struct vm_area *vmalloc_find(struct vmalloc_arena *arena, vaddr_t va);

// Fence all harts and give back the frames and addresses of all lazy areas.
void vmalloc_drain(void);
