// SPDX-License-Identifier: MIT
//
// Kernel stacks without guards.  The area is that of a slot in which nothing is mapped, moved to
// where the block is, so that what lists, caches, counts and frees stacks serves these as well.
#include "vm/unguarded.h"

#include "kern/lib/string.h"
#include "vm/page.h"

#define BLOCK_ORDER 2

_Static_assert(PAGE_SIZE << BLOCK_ORDER == KSTACK_SIZE, "a block is one stack");

static void area_move(struct vm_area *area, vaddr_t base, uint64 size) {
  irq_t s = spin_lock(&vmalloc_stacks.lock);
  area->base = base;
  area->size = size;
  spin_unlock(&vmalloc_stacks.lock, s);
}

struct vm_area *unguarded_alloc(void) {
  void *block = page_alloc_order(BLOCK_ORDER);
  if (!block)
    return NULL;
  struct vm_area *area = vmalloc_range(&vmalloc_stacks, 0, PAGE_SIZE, PROT_KERNEL_RW);
  if (!area) {
    page_put(block);
    return NULL;
  }
  memset(block, 0, KSTACK_SIZE);
  area_move(area, (vaddr_t)block, KSTACK_SIZE);
  return area;
}

void unguarded_free(struct vm_area *area) {
  if (area->base >= KSTACK_BASE)
    return;
  page_put((void *)area->base);
  area_move(area, KSTACK_BASE + area->first * (uint64)KSTACK_SLOT + KSTACK_GUARD, 0);
}
