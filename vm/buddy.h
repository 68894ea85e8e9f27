// SPDX-License-Identifier: MIT
//
// Blocks of free pages by size.  For vm/page.c, whose caches draw from them.
#pragma once

#include "kern/lib/spinlock.h"
#include "kern/lib/types.h"
#include "vm/page.h"

extern struct spinlock buddy_lock;

static inline uint64 buddy_pfn(const struct page *p) {
  return frames.first + (p - frames.page);
}

// Begin with count pages, none of them free.  first is the number of the lowest one, and page has a
// struct for each, all zeros.  Boot only.
void buddy_init(struct page *page, uint64 first, uint64 count);

// Add the pages [start, end) in the largest aligned blocks.  Holds: buddy_lock.
void buddy_add(pa_t start, pa_t end);

// Put a block back, merged with its free neighbours.  Holds: buddy_lock; not asserted, since each
// page goes through here.
void buddy_put(struct page *p, uint32 order);

// Take a block of 2^order pages, splitting a larger one.  Returns NULL if there is none.
// Holds: buddy_lock; not asserted, as above.
struct page *buddy_take(uint32 order);
