// SPDX-License-Identifier: MIT
//
// Free blocks: one list for each size.  A block that comes back is merged with its neighbours.
//
// I1. A page is PAGE_FREE if and only if a free block begins at it, and that block is on the list
//     of its order.  A state becomes PAGE_FREE, or stops being it, only under buddy_lock.  So the
//     state of a neighbour can be read there even while the neighbour is in use.
// I2. Of two neighbours that could merge, at most one is free.
#include "vm/buddy.h"

#include "kern/lib/atomic.h"
#include "kern/lib/panic.h"

struct spinlock buddy_lock = SPINLOCK_INIT("page");
struct frames frames;

static struct list free_lists[PAGE_ORDER_MAX + 1];  // under buddy_lock

void buddy_init(struct page *page, uint64 first, uint64 count) {
  frames = (struct frames){page, first, count};
  for (uint32 i = 0; i <= PAGE_ORDER_MAX; i++)
    list_init(&free_lists[i]);
}

void buddy_put(struct page *p, uint32 order) {
  uint64 pfn = buddy_pfn(p);
  p->state = PAGE_RESERVED;  // unless the block begins here
  while (order < PAGE_ORDER_MAX) {
    uint64 other = (pfn ^ 1UL << order) - frames.first;
    if (other >= frames.count || load_relaxed(&frames.page[other].state) != PAGE_FREE ||
        frames.page[other].order != order)
      break;
    list_remove(&frames.page[other].node);
    frames.page[other].state = PAGE_RESERVED;
    pfn &= ~(1UL << order);
    order++;
  }
  p = &frames.page[pfn - frames.first];
  p->state = PAGE_FREE;
  p->order = order;
  list_push_front(&free_lists[order], &p->node);
}

struct page *buddy_take(uint32 order) {
  uint32 from = order;
  while (from <= PAGE_ORDER_MAX && list_empty(&free_lists[from]))
    from++;
  if (from > PAGE_ORDER_MAX)
    return NULL;
  struct page *p = list_entry(list_pop_front(&free_lists[from]), struct page, node);
  assert(p->state == PAGE_FREE && p->order == from && p->refs == 0);
  while (from > order) {
    from--;
    struct page *half = p + (1UL << from);
    half->state = PAGE_FREE;
    half->order = from;
    list_push_front(&free_lists[from], &half->node);
  }
  p->order = order;
  p->state = PAGE_CACHED;
  return p;
}

void buddy_add(pa_t start, pa_t end) {
  assert(spin_holding(&buddy_lock));
  uint64 pfn = start >> PAGE_SHIFT, last = end >> PAGE_SHIFT;
  while (pfn < last) {
    uint32 order = PAGE_ORDER_MAX;
    while ((pfn & ((1UL << order) - 1)) != 0 || pfn + (1UL << order) > last)
      order--;
    buddy_put(&frames.page[pfn - frames.first], order);
    pfn += 1UL << order;
  }
}
