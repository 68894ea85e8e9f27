// SPDX-License-Identifier: MIT
//
// Virtually contiguous kernel memory in arenas with unmapped guards.
//
// I1. An arena's page tables exist from boot on: mapping allocates no table and touches no root
// entry. I2. An arena is cut in granules; each has a struct vm_area, so freeing allocates nothing.
// I3. Neither frames nor addresses of a freed area are reused before every hart has fenced.
#pragma once

#include "kern/lib/limits.h"
#include "kern/lib/spinlock.h"
#include "kern/lib/types.h"
#include "vm/arena.h"
#include "vm/kasan.h"
#include "vm/pagetable.h"

enum area_state { AREA_FREE, AREA_LIVE, AREA_LAZY };

struct account;
struct hart;

// [v] arena's lock  [I] while live  [a] atomic  [o] only the owner of the stack
// [k] set by the new owner, without a lock; cleared under the arena's
struct vm_area {
  vaddr_t base;               // [I] first mapped byte
  uint64 size;                // [I] bytes mapped, a multiple of the page size
  uint32 granules;            // [I] granules the area takes, guards included
  uint32 first;               // [I] index of its first granule (also set in its other granules)
  uint64 generation;          // [I] in which it was mapped (vm/tlb.h)
  uint64 maker;               // [I] address of the code that asked for it
  struct vm_area *lazy_next;  // [v]
  const uint64 *saved_sp;     // [k] of the thread on this stack, or null (vm/kstack.h)
  struct hart *const *on;     // [k] where that thread's hart stands, or null
  enum area_state state;      // [v]
  uint32 kind;                // [k] enum stack_kind of an owned stack; 0: nobody owns it
  bool stained;               // [o] not to be cached (vm/kstack.h)
  struct account *account;    // [o] who pays for an owned stack, or null
  int account_id;             // [a] likewise, by value; 0: nobody
  int pid;                    // [a] owner or last owner, by value; 0: the kernel; -1: none yet
  char name[NAME_SIZE];       // [a] likewise
#if KASAN
  void *shadow;  // [I] of this granule, whichever area it is in
#endif
  KASAN_NOTE
};

// [v] lock  [I] fixed after vmalloc_init
struct vmalloc_arena {
  struct spinlock lock;
  struct arena granules;  // [v]
  struct vm_area *lazy;   // [v] freed, not yet fenced; their entries keep the frames, without V
  uint32 lazy_count;      // [v]
  uint32 shift;           // [I] a granule is 2^shift bytes
  uint32 guard_below;     // [I] bytes left unmapped in each area, below and above
  uint32 guard_above;     // [I]
  vaddr_t base;           // [I]
  pte_t *ptes;            // [I] the level-0 entries of all granules, in one array
  struct vm_area *areas;  // [I] one a granule
#if KASAN
  pte_t *shadow_ptes;  // [I] the level-0 entries of the granules' shadow
#endif
};

extern struct vmalloc_arena vmalloc_general;  // granule 64 KiB, a page of guard above
extern struct vmalloc_arena vmalloc_stacks;   // granule one slot, guard below

// Lay out both arenas over their windows and fill their page tables.  Boot only, before any user
// page table exists.
void vmalloc_init(void);

// Allocate size bytes (rounded up to pages) aligned to align (a power of two, at most the granule),
// pages zeroed and taken one by one, mapped with prot.  Fences this hart.  Returns NULL on no
// memory or no room, having undone everything.  Of size 0 it takes an address, and maps nothing.
// Does not sleep.  Holds: no lock of this room or of vm/kstack.c.
struct vm_area *vmalloc_range(struct vmalloc_arena *arena, uint64 size, uint64 align,
                              enum prot prot);

// Unmap the area.  Its frames and addresses return after the next fence of all harts.
// Does not sleep.  Any context.
void vmalloc_free(struct vm_area *area);

// Return the area, live or lazy, whose granules contain va, or NULL.  Takes no lock.
struct vm_area *vmalloc_find(struct vmalloc_arena *arena, vaddr_t va);

// Fence all harts and return every lazily freed frame and address.  Returns the pages returned.
uint64 vmalloc_drain(void);
