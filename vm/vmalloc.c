// SPDX-License-Identifier: MIT
//
// Virtually contiguous kernel memory.
//
// I1. ptes[p] maps page p of an arena, so mapping a stack is four stores and no walk.
// I2. While an area is being filled or is lazy, its entries hold the frames without V: the page
//     table itself remembers what to give back, and a failure half-way was never visible.
// I3. V is set and cleared, and the state changed, under the arena's lock: whoever holds it sees
//     live areas mapped and all others not.
// I4. One drain at a time: who waits for it finds the memory that it returned.
// Locks: page_drain's, drain_lock, then an arena's.  Neither is held while pages are allocated, as
// page_alloc itself drains before it fails.
#include "vm/vmalloc.h"

#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "kern/lib/string.h"
#include "vm/kasan.h"
#include "vm/page.h"
#include "vm/tlb.h"

#if KASAN
#define GENERAL_SHIFT KSTACK_SLOT_SHIFT  // a page of shadow a granule
#else
#define GENERAL_SHIFT 16
#endif
#define LAZY_BATCH 256  // freed areas that one fence of all harts pays for

struct vmalloc_arena vmalloc_general = {
    .lock = SPINLOCK_INIT("vmalloc"),
    .shift = GENERAL_SHIFT,
    .guard_above = PAGE_SIZE,
    .base = VMALLOC_BASE,
};
struct vmalloc_arena vmalloc_stacks = {
    .lock = SPINLOCK_INIT("kstack window"),
    .shift = KSTACK_SLOT_SHIFT,
    .guard_below = KSTACK_GUARD,
    .base = KSTACK_BASE,
};
static struct spinlock drain_lock = SPINLOCK_INIT("vmalloc drain");

static uint64 area_pages(const struct vm_area *area) {
  return area->size >> PAGE_SHIFT;
}

static pte_t *area_ptes(const struct vmalloc_arena *arena, const struct vm_area *area) {
  return &arena->ptes[(area->base - arena->base) >> PAGE_SHIFT];
}

static struct vmalloc_arena *arena_of(const struct vm_area *area) {
  return area->base >= KSTACK_BASE ? &vmalloc_stacks : &vmalloc_general;
}

// Make the tables and areas for size bytes of the arena's window, which ends at end.
static void arena_setup(struct vmalloc_arena *arena, uint64 size, vaddr_t end) {
  uint64 table_size = PT_ENTRIES * (uint64)PAGE_SIZE;
  size = ROUND_UP(size, table_size);
  if (size > end - arena->base)
    size = end - arena->base;
  uint64 count = size >> arena->shift;
  arena_init(&arena->granules, pa_to_ptr(boot_alloc(ROUND_UP(count, 64) / 8)), count);
  arena->ptes = pa_to_ptr(boot_alloc(size / PAGE_SIZE * sizeof(pte_t)));
  for (uint64 at = 0; at < size; at += table_size)
    pagetable_link(arena->base + at, &arena->ptes[at / PAGE_SIZE]);
  arena->areas = pa_to_ptr(boot_alloc(count * sizeof(struct vm_area)));
  for (uint64 i = 0; i < count; i++) {
    arena->areas[i].base = arena->base + (i << arena->shift) + arena->guard_below;
    arena->areas[i].first = i;
    arena->areas[i].pid = -1;
  }
  kasan_init_arena(arena, size);
}

void vmalloc_init(void) {
  uint64 ram = 0;
  for (uint32 i = 0; i < machine.ram_count; i++)
    ram += machine.ram[i].size;
  // More slots than RAM can back, and room for as much again where sizes leave holes.
  arena_setup(&vmalloc_stacks, ram / KSTACK_SIZE * KSTACK_SLOT, KSTACK_END);
  arena_setup(&vmalloc_general, 2 * ram, VMALLOC_END);
  tlb_mapped();
}

// Take granules for size bytes and the guards.  NULL when there is no such run.
static struct vm_area *take_granules(struct vmalloc_arena *arena, uint64 size) {
  uint64 all = ROUND_UP(arena->guard_below + size + arena->guard_above, 1UL << arena->shift);
  uint32 n = all >> arena->shift;
  irq_t s = spin_lock(&arena->lock);
  int64 first = arena_take(&arena->granules, n);
  for (uint32 i = 0; first >= 0 && i < n; i++)
    arena->areas[first + i].first = first;
  spin_unlock(&arena->lock, s);
  if (first < 0)
    return NULL;
  struct vm_area *area = &arena->areas[first];
  assert(area->state == AREA_FREE);
  area->size = size;
  area->granules = n;
  return area;
}

// Give back the area's frames and granules.  No hart can have an entry for it (I2, or fenced).
static uint64 release(struct vmalloc_arena *arena, struct vm_area *area) {
  pte_t *pte = area_ptes(arena, area);
  uint64 pages = 0;
  for (uint64 i = 0; i < area_pages(area) && pte[i]; i++, pages++) {
    assert(!(pte[i] & PTE_V));
    page_put(pa_to_ptr(pte_to_pa(pte[i])));
    pte[i] = 0;
  }
  kasan_area_release(arena, area);
  irq_t s = spin_lock(&arena->lock);
  area->state = AREA_FREE;
  arena_give(&arena->granules, area->first, area->granules);
  spin_unlock(&arena->lock, s);
  return pages;
}

// Put a frame behind each entry, without V (I2).  Returns false when memory ran out.
static bool fill(struct vmalloc_arena *arena, struct vm_area *area, pte_t bits) {
  pte_t *pte = area_ptes(arena, area);
  for (uint64 i = 0; i < area_pages(area); i++) {
    void *page = page_alloc_zeroed();
    if (!page)
      return false;
    pte[i] = pa_to_pte(ptr_to_pa(page)) | (bits & ~PTE_V);
  }
  return kasan_area_fill(arena, area);
}

// Make a filled area visible (I3).
static void publish(struct vmalloc_arena *arena, struct vm_area *area) {
  pte_t *pte = area_ptes(arena, area);
  irq_t s = spin_lock(&arena->lock);
  for (uint64 i = 0; i < area_pages(area); i++)
    pte[i] |= PTE_V;
  kasan_area_publish(arena, area);
  area->state = AREA_LIVE;
  area->generation = tlb_mapped();
  assert(this_hart()->fence_generation >= area->generation);  // it may be used here at once
  spin_unlock(&arena->lock, s);
}

struct vm_area *vmalloc_range(struct vmalloc_arena *arena, uint64 size, uint64 align,
                              enum prot prot) {
  uint64 wanted = size;
  size = ROUND_UP(size, PAGE_SIZE);
  assert(align <= 1UL << arena->shift);
  struct vm_area *area = take_granules(arena, size);
  if (!area) {
    vmalloc_drain();
    area = take_granules(arena, size);
  }
  if (!area)
    return NULL;
  assert((area->base & (align - 1)) == 0);
  if (!fill(arena, area, prot_bits(prot))) {
    release(arena, area);
    return NULL;
  }
  area->maker = (uint64)__builtin_return_address(0);
  publish(arena, area);
  kasan_area_alloc(area, wanted, __builtin_return_address(0));
  return area;
}

void vmalloc_free(struct vm_area *area) {
  struct vmalloc_arena *arena = arena_of(area);
  pte_t *pte = area_ptes(arena, area);
  if (arena == &vmalloc_general)
    kasan_area_free(area, __builtin_return_address(0));
  irq_t s = spin_lock(&arena->lock);
  assert(area->state == AREA_LIVE);
  for (uint64 i = 0; i < area_pages(area); i++)
    pte[i] &= ~PTE_V;
  kasan_area_retire(arena, area);
  area->state = AREA_LAZY;
  area->lazy_next = arena->lazy;
  arena->lazy = area;
  bool full = ++arena->lazy_count == LAZY_BATCH;  // true for one hart only
  spin_unlock(&arena->lock, s);
  if (full)
    vmalloc_drain();
}

struct vm_area *vmalloc_find(struct vmalloc_arena *arena, vaddr_t va) {
  uint64 i = (va - arena->base) >> arena->shift;  // below base: wraps to a large number
  if (i >= arena->granules.count)
    return NULL;
  struct vm_area *area = &arena->areas[arena->areas[i].first];
  return area->state != AREA_FREE && i < area->first + area->granules ? area : NULL;
}

static struct vm_area *detach_lazy(struct vmalloc_arena *arena) {
  irq_t s = spin_lock(&arena->lock);
  struct vm_area *lazy = arena->lazy;
  arena->lazy = NULL;
  arena->lazy_count = 0;
  spin_unlock(&arena->lock, s);
  return lazy;
}

static uint64 release_all(struct vmalloc_arena *arena, struct vm_area *lazy) {
  uint64 pages = 0;
  for (struct vm_area *next; lazy; lazy = next) {
    next = lazy->lazy_next;
    pages += release(arena, lazy);
  }
  return pages;
}

uint64 vmalloc_drain(void) {
  irq_t s = spin_lock(&drain_lock);
  // The fence covers only what was unmapped before it begins: detach first.
  struct vm_area *stacks = detach_lazy(&vmalloc_stacks);
  struct vm_area *general = detach_lazy(&vmalloc_general);
  if (stacks || general)
    tlb_fence_harts();
  uint64 pages = release_all(&vmalloc_stacks, stacks) + release_all(&vmalloc_general, general);
  spin_unlock(&drain_lock, s);
  return pages;
}
