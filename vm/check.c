// SPDX-License-Identifier: MIT
//
// The self-check of the address space: what pagetable.c and vmalloc.c promise, read back from the
// tables that the hardware walks.
//
// First it looks at each leaf of the kernel half by itself: its rights, and what memory it shows.
// Then it goes through both arenas page by page: a page is mapped where a live area says so, and
// nowhere else.  Then come what else stacks in a window need (docs/vmap-stack.md), enough slots and
// an emergency stack for each hart, and the user page tables, which share the kernel half.  It
// skips an empty level-0 table at a glance, so it takes milliseconds on a machine with a gigabyte.
#include "vm/check.h"

#include "kern/lib/abi.h"
#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "vm/image.h"
#include "vm/kasan_shadow.h"
#include "vm/kstack.h"
#include "vm/page.h"
#include "vm/vmalloc.h"

#define TABLE_SHIFT (PAGE_SHIFT + LEVEL_BITS)  // a level-0 table translates 2 MiB

// Panic, unless the entry is good, and say what is wrong with it.
static void require(bool good, vaddr_t va, pte_t pte, const char *what) {
  if (!good)
    panic("address space: 0x%lx %s (entry 0x%lx)", va, what, pte);
}

static bool overlaps_any(pa_t pa, uint64 size, const struct pa_range *range, uint32 count) {
  for (uint32 i = 0; i < count; i++)
    if (pa < range[i].base + range[i].size && range[i].base < pa + size)
      return true;
  return false;
}

static void check_rights(vaddr_t va, pte_t pte, uint64 size) {
  const pte_t always = PTE_G | PTE_A | PTE_D;
  bool text = va >= (vaddr_t)_start && va + size <= (vaddr_t)text_end;
  require((pte & always) == always, va, pte, "lacks G, A or D");
  require(!(pte & PTE_U), va, pte, "is open to user mode");
  require(pte & PTE_R, va, pte, "is mapped but not readable");
  require(!(pte & PTE_W) || !(pte & PTE_X), va, pte, "is writable and executable");
  require(!(pte & PTE_X) || text, va, pte, "is executable but not kernel text");
}

// Check which memory a leaf shows.  W^X is for the memory, whatever its address.
static void check_target(vaddr_t va, pte_t pte, uint64 size) {
  pa_t pa = pte_to_pa(pte);
  const struct pa_range constant = {image_to_pa(_start), data_start - _start};
  bool alias = overlaps_any(pa, size, &constant, 1);
  bool ram = overlaps_any(pa, size, machine.ram, machine.ram_count);
  bool reserved = overlaps_any(pa, size, machine.reserved, machine.reserved_count);
  require((pa & (size - 1)) == 0, va, pte, "is a large leaf that is not aligned");
  require(!(pte & PTE_W) || !alias, va, pte, "is a writable alias of text or rodata");
  if (va >= DEVICE_BASE && va < DEVICE_END)
    require(!ram, va, pte, "shows RAM in the device window");
  else
    require(ram && !reserved, va, pte, "shows memory that is reserved or not RAM");
}

static bool any_valid(const pte_t *pte) {
  pte_t all = 0;
#pragma GCC unroll 8
  for (uint32 i = 0; i < PT_ENTRIES; i++)
    all |= pte[i];
  return all & PTE_V;
}

// Check every leaf of a table, from its entry first on, which translates va.
static void check_table(const pte_t *table, uint32 first, int level, vaddr_t va) {
  if (level == 0 && !any_valid(table))
    return;
  uint64 size = 1UL << (PAGE_SHIFT + LEVEL_BITS * level);
  for (uint32 i = first; i < PT_ENTRIES; i++, va += size) {
    pte_t pte = load_relaxed(&table[i]);
    if (!(pte & PTE_V))
      continue;
    if (pte & PTE_LEAF) {
      check_rights(va, pte, size);
      check_target(va, pte, size);
    } else {
      bool good = level > 0 && !(pte & (PTE_U | PTE_A | PTE_D | PTE_G));
      require(good, va, pte, "is neither a leaf nor a table");
      check_table(pa_to_ptr(pte_to_pa(pte)), 0, level - 1, va);
    }
  }
}

// Return the live area that granule i is part of, or NULL.
static const struct vm_area *live_area(const struct vmalloc_arena *arena, uint32 i) {
  const struct vm_area *area = &arena->areas[arena->areas[i].first];
  return area->state == AREA_LIVE && i < area->first + area->granules ? area : NULL;
}

// Return down to where the stack whose slot va is in may be enlarged at any moment.
static vaddr_t lowest(vaddr_t va) {
  return ROUND_DOWN(va, KSTACK_SLOT) + KSTACK_GUARD -
         (kstack_at(va)->distrusted ? KSTACK_RESERVE : 0);
}

// Check the pages of granule i: mapped RW where a live area has its bytes, unmapped elsewhere.
static void check_granule(const struct vmalloc_arena *arena, uint32 i) {
  const struct vm_area *area = live_area(arena, i);
  vaddr_t base = area ? load_acquire(&area->base) : 0;
  vaddr_t va = arena->base + ((uint64)i << arena->shift), end = va + (1UL << arena->shift);
  const pte_t *pte = &arena->ptes[(va - arena->base) >> PAGE_SHIFT];
  require(kasan_shadow_fits(arena, i, area), va, *pte,
          "has a shadow that is not its own, or not the shared one");
  for (; va < end; va += PAGE_SIZE, pte++) {
    bool inside = area && va >= base && va < base + area->pages * PAGE_SIZE;
    bool more = area && va < base && kstack_at(va) && va >= lowest(va);
    bool mapped = (*pte & (PTE_V | PTE_LEAF)) == (PTE_V | PTE_R | PTE_W);
    require(inside || more || !(*pte & PTE_V), va, *pte, "is a guard or free, and mapped");
    require(!inside || mapped, va, *pte, "is live, and not mapped RW");
  }
}

// Check that the arena's table number t is the one the hardware walks, and check its granules.
static void check_arena_table(struct vmalloc_arena *arena, uint64 t) {
  vaddr_t va = arena->base + (t << TABLE_SHIFT);
  const pte_t *table = &arena->ptes[t * PT_ENTRIES];
  require(pagetable_lookup(kernel_pagetable, va) == table, va, 0,
          "is not translated by the arena's own table");
  uint32 granules = 1U << (TABLE_SHIFT - arena->shift);
  uint32 first = t * granules;
  irq_t irq = spin_lock(&arena->lock);
  bool live = any_valid(table);
  for (uint32 i = first; !live && i < first + granules; i++)
    live = live_area(arena, i);
  for (uint32 i = first; live && i < first + granules; i++)
    check_granule(arena, i);
  spin_unlock(&arena->lock, irq);
}

static void check_arena(struct vmalloc_arena *arena) {
  uint64 size = (uint64)arena->granules.count << arena->shift;
  for (uint64 t = 0; t < size >> TABLE_SHIFT; t++)
    check_arena_table(arena, t);
}

void vm_check_fault_stacks(void) {
  for (uint32 i = 0; i < hart_count; i++) {
    const struct hart *h = &harts[i];
    const struct kstack *stack = kstack_at(h->emergency_lo);
    if (!stack || stack->kind != STACK_EMERGENCY || stack->lo != h->emergency_lo ||
        stack->lo + KSTACK_SIZE != h->emergency_hi)
      panic("hart %u has no emergency stack: there is none from 0x%lx to 0x%lx", i, h->emergency_lo,
            h->emergency_hi);
    for (uint32 k = 0; k < i; k++)
      if (harts[k].emergency_lo == h->emergency_lo)
        panic("harts %u and %u share an emergency stack", k, i);
  }
}

static void check_shared(const struct pagetable *pt) {
  for (uint32 i = PT_KERNEL_FIRST; i < PT_ENTRIES; i++)
    if (pt->pte[i] != kernel_pagetable->pte[i])
      panic("address space: root entry %u of page table %p is 0x%lx, the kernel's 0x%lx", i, pt,
            pt->pte[i], kernel_pagetable->pte[i]);
}

void vm_check(void) {
  uint64 ram = ram_size(), slots = kstack_slots();
  pte_t guard = pagetable_leaf((vaddr_t)boot_stack_guard);
  require(!guard, (vaddr_t)boot_stack_guard, guard, "is the boot stack's guard, and mapped");
  for (uint32 i = 0; i < PT_KERNEL_FIRST; i++)
    if (kernel_pagetable->pte[i])
      panic("address space: user half of the kernel's own page table, entry %u is not empty", i);
  check_table(kernel_pagetable->pte, PT_KERNEL_FIRST, LEVEL_ROOT, DIRECT_BASE);
  check_arena(&kstack_window);
  check_arena(&vmalloc_general);
  // With fewer slots than RAM could back, stacks would run out while there is memory.
  if (VMAP_STACK && slots < ram / KSTACK_SIZE)
    panic("address space: %lu MiB of RAM could hold %lu kernel stacks, the window %lu", ram >> 20,
          ram / KSTACK_SIZE, slots);
  vm_check_fault_stacks();
  pagetable_each(check_shared);
}
