// SPDX-License-Identifier: MIT
//
// Virtually contiguous kernel memory.
//
// An area is made in four steps: it takes granules, gets a frame behind each of its entries, gets V
// set in them, and this hart fences.  It ends in two: V is cleared at once, and frames and granules
// come back after a fence of all harts, which a batch of areas shares.
// I4. ptes[p] maps page p of an arena, so mapping a stack takes four stores and no walk.
// I5. While an area is being filled or is lazy, its entries hold the frames without V.  So the page
//     table itself remembers what to give back, and no hart saw an area that failed half-way.
// I6. V and an area's state change under the arena's lock: its holder sees that exactly the live
//     areas are mapped.
// I7. One drain runs at a time; a caller that waited can use the memory it returned.
// Locks: page_drain's, vmalloc_drain_lock, then an arena's.  None of them is held while a page is
// allocated, because page_alloc drains before it fails.
#include "vm/vmalloc.h"

#include "kern/lib/hart.h"
#include "kern/lib/panic.h"
#include "vm/kasan_shadow.h"
#include "vm/page.h"
#include "vm/ram.h"
#include "vm/tlb.h"

#define GENERAL_SHIFT 15   // with KASAN=y a page of shadow a granule
#define LAZY_BATCH    256  // freed areas that one fence of all harts pays for

struct vmalloc_arena vmalloc_general = {
    .lock = SPINLOCK_INIT("vmalloc"),
    .shift = GENERAL_SHIFT,
    .guard_above = PAGE_SIZE,
    .base = VMALLOC_BASE,
    .end = VMALLOC_END,
};
static struct vmalloc_arena *arenas;  // [I] all, the one added last first
static struct spinlock vmalloc_drain_lock = SPINLOCK_INIT("vmalloc drain");

static pte_t *area_ptes(const struct vm_area *area) {
  return &area->arena->ptes[(area->base - area->arena->base) >> PAGE_SHIFT];
}

void vmalloc_add_arena(struct vmalloc_arena *arena, uint64 size) {
  uint64 table_size = PT_ENTRIES * (uint64)PAGE_SIZE;
  size = ROUND_UP(size, table_size);
  if (size > arena->end - arena->base)
    size = arena->end - arena->base;
  uint64 count = size >> arena->shift;
  arena_init(&arena->granules, pa_to_ptr(boot_alloc(ROUND_UP(count, 64) / 8)), count);
  arena->ptes = pa_to_ptr(boot_alloc(size / PAGE_SIZE * sizeof(pte_t)));
  for (uint64 at = 0; at < size; at += table_size)
    pagetable_link(arena->base + at, &arena->ptes[at / PAGE_SIZE]);
  arena->areas = pa_to_ptr(boot_alloc(count * sizeof(struct vm_area)));
  kasan_init_arena(arena, size);
  arena->next = arenas;
  arenas = arena;
  tlb_mapped();
}

void vmalloc_init(void) {
  vmalloc_add_arena(&vmalloc_general, 2 * ram_size());  // areas leave parts of granules unused
  page_add_reclaimer(vmalloc_drain);
}

// Take granules for size bytes and the guards.  NULL when no such run is free.
static struct vm_area *area_take(struct vmalloc_arena *arena, uint64 size) {
  uint64 all = ROUND_UP(arena->guard_below + size + arena->guard_above, 1UL << arena->shift);
  uint32 n = all >> arena->shift;
  irq_t irq = spin_lock(&arena->lock);
  int64 first = arena_take(&arena->granules, n);
  for (uint32 i = 0; first >= 0 && i < n; i++)
    arena->areas[first + i].first = first;
  spin_unlock(&arena->lock, irq);
  if (first < 0)
    return NULL;
  struct vm_area *area = &arena->areas[first];
  assert(area->state == AREA_FREE);
  area->arena = arena;
  area->base = arena->base + ((uint64)first << arena->shift) + arena->guard_below;
  area->pages = size / PAGE_SIZE;
  area->granules = n;
  return area;
}

// Give back the area's frames and granules.  No hart has a translation for it: it was never live
// (I5), or all have fenced since.
static void area_release(struct vm_area *area) {
  struct vmalloc_arena *arena = area->arena;
  pte_t *pte = area_ptes(area);
  for (uint64 i = 0; i < area->pages && pte[i]; i++) {
    assert(!(pte[i] & PTE_V));
    page_put(pa_to_ptr(pte_to_pa(pte[i])));
    pte[i] = 0;
  }
  kasan_area_release(area);
  irq_t irq = spin_lock(&arena->lock);
  area->state = AREA_FREE;
  arena_give(&arena->granules, area->first, area->granules);
  spin_unlock(&arena->lock, irq);
}

// Fence all harts and give back the arena's lazy areas (I7).
static void arena_drain(struct vmalloc_arena *arena) {
  irq_t outer = spin_lock(&vmalloc_drain_lock);
  irq_t irq = spin_lock(&arena->lock);
  struct vm_area *lazy = arena->lazy;  // detached first: the fence covers what is unmapped by now
  arena->lazy = NULL;
  arena->lazy_count = 0;
  spin_unlock(&arena->lock, irq);
  if (lazy)
    tlb_fence_harts();
  for (struct vm_area *next; lazy; lazy = next) {
    next = lazy->lazy_next;
    area_release(lazy);
  }
  spin_unlock(&vmalloc_drain_lock, outer);
}

void vmalloc_drain(void) {
  for (struct vmalloc_arena *arena = arenas; arena; arena = arena->next)
    arena_drain(arena);
}

// Put a frame of zeros behind each entry, without V (I5).  Returns false when memory ran out.
static bool area_fill(struct vm_area *area) {
  pte_t bits = prot_bits(PROT_KERNEL_RW) & ~PTE_V;
  pte_t *pte = area_ptes(area);
  for (uint64 i = 0; i < area->pages; i++) {
    void *page = page_alloc_zeroed();
    if (!page)
      return false;
    pte[i] = pa_to_pte(ptr_to_pa(page)) | bits;
  }
  return kasan_area_fill(area);
}

// Make a filled area visible (I6), and fence this hart, which may use it at once.
static void area_publish(struct vm_area *area) {
  pte_t *pte = area_ptes(area);
  irq_t irq = spin_lock(&area->arena->lock);
  for (uint64 i = 0; i < area->pages; i++)
    pte[i] |= PTE_V;
  kasan_area_publish(area);
  area->state = AREA_LIVE;
  area->generation = tlb_mapped();
  assert(this_hart()->fence_generation >= area->generation);
  spin_unlock(&area->arena->lock, irq);
}

struct vm_area *vmalloc_range(struct vmalloc_arena *arena, uint64 size) {
  struct vm_area *area = area_take(arena, ROUND_UP(size, PAGE_SIZE));
  if (!area)
    return NULL;
  if (!area_fill(area)) {
    area_release(area);
    return NULL;
  }
  area->maker = (uint64)__builtin_return_address(0);
  area_publish(area);
  kasan_area_alloc(area, size, __builtin_return_address(0));
  return area;
}

void vmalloc_free(struct vm_area *area) {
  struct vmalloc_arena *arena = area->arena;
  pte_t *pte = area_ptes(area);
  kasan_area_free(area, __builtin_return_address(0));
  irq_t irq = spin_lock(&arena->lock);
  assert(area->state == AREA_LIVE);
  for (uint64 i = 0; i < area->pages; i++)
    pte[i] &= ~PTE_V;
  kasan_area_retire(area);
  area->state = AREA_LAZY;
  area->lazy_next = arena->lazy;
  arena->lazy = area;
  bool full = ++arena->lazy_count == LAZY_BATCH;  // true for one hart only
  spin_unlock(&arena->lock, irq);
  if (full)
    arena_drain(arena);
}

struct vm_area *vmalloc_find(struct vmalloc_arena *arena, vaddr_t va) {
  uint64 i = (va - arena->base) >> arena->shift;  // below base: wraps to a large number
  if (i >= arena->granules.count)
    return NULL;
  struct vm_area *area = &arena->areas[arena->areas[i].first];
  return area->state != AREA_FREE && i < area->first + area->granules ? area : NULL;
}
