// SPDX-License-Identifier: MIT
//
// Blocks of free pages by size: what the caches of vm/page.c draw from.  Nobody else does.
#pragma once

#include "kern/lib/spinlock.h"
#include "kern/lib/types.h"
#include "vm/page.h"

// One struct page a page of RAM, from the lowest usable one on, holes between banks included.
struct frames {
  struct page *page;  // [I]
  uint64 first;       // [I] number (address / PAGE_SIZE) of the first
  uint64 count;       // [I]
};

extern struct frames frames;
extern struct spinlock buddy_lock;

static inline uint64 buddy_pfn(const struct page *p) {
  return frames.first + (p - frames.page);
}

// Describe count pages from number first on by page, which is all zeros.  Once.
void buddy_init(struct page *page, uint64 first, uint64 count);

// Add the pages [start, end) in the largest aligned blocks.  Holds: buddy_lock.
void buddy_add(pa_t start, pa_t end);

// Put a block back, merged with its free neighbours.  Holds: buddy_lock.
void buddy_put(struct page *p, uint32 order);

// Take a block of 2^order pages, splitting a larger one.  NULL if there is none.
// Holds: buddy_lock.
struct page *buddy_take(uint32 order);
