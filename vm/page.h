// SPDX-License-Identifier: MIT
//
// Physical pages: a buddy allocator of blocks of 2^order pages, a cache of single pages on each
// hart, and a reference count for each page.
//
// I1. avail = free pages (caches included) - promised pages, and is never negative.  While it is
//     positive, the allocation of a single page succeeds.
// I2. Before an allocation fails, all that is cached is drained: page caches, kernel-stack caches,
//     lazily unmapped areas.
#pragma once

#include "kern/lib/atomic.h"
#include "kern/lib/list.h"
#include "kern/lib/panic.h"
#include "kern/lib/types.h"
#include "vm/kasan_shadow.h"
#include "vm/ram.h"

#define PAGE_ORDER_MAX 10  // largest block: 4 MiB

struct memory_info;

enum page_state {
  PAGE_RESERVED,  // not the allocator's, or inside a free block
  PAGE_FREE,      // first page of a free block
  PAGE_CACHED,    // single page in a hart's cache
  PAGE_USED,
  PAGE_SLAB,  // used, cut into small objects (vm/kmalloc.c)
  PAGE_ROOT,  // used, the root of a user page table (vm/pagetable.c)
};

// [p] buddy_lock (vm/buddy.h)  [a] atomic  [o] owner of the page
struct page {
  struct list node;  // [p] while free; [o] after
  uint32 refs;       // [a] 0: free
  uint8 order;       // [p] of the block that begins here
  uint8 state;       // [a] enum page_state; into and out of PAGE_FREE: [p]
  uint8 count;       // [o] slab: objects in use
  uint8 class;       // [o] slab: index of their size
  void *private;     // [o] slab: first free object
  KASAN_NOTE         // [o]
};

// One struct page for each page of RAM from the lowest usable one on, holes between banks included.
// In vm/buddy.c.
struct frames {
  struct page *page;  // [I]
  uint64 first;       // [I] number (address / PAGE_SIZE) of the first
  uint64 count;       // [I]
};
extern struct frames frames;

// Hand the usable RAM (machine.ram less machine.reserved, the image and what boot_alloc took) to
// the allocator.  Once, on the boot hart, with the direct map in place.
void page_init(void);

// Allocate one page, refs 1, contents undefined.  Returns NULL on no memory.  Does not sleep.
void *page_alloc(void);

// As page_alloc, but filled with zeros.
void *page_alloc_zeroed(void);

// Allocate a block of 2^order pages, contiguous and aligned to its size, refs 1.  Returns NULL when
// no such block is free.
void *page_alloc_order(uint32 order);

// Promise n pages to the caller.  Returns 0, or -ENOMEM when fewer are available.
int page_promise(uint64 n);

// Take back the promise of n pages.
void page_unpromise(uint64 n);

// Allocate one page out of a promise.  Never fails.
void *page_alloc_promised(void);

// Return the struct page of a pointer into the direct map.
static inline struct page *page_of(const void *p) {
  uint64 index = (ptr_to_pa(p) >> PAGE_SHIFT) - frames.first;
  if (index >= frames.count)
    panic("page: %p is not in the direct map of RAM", p);
  return &frames.page[index];
}

// Take another reference to the page at p.
static inline void page_get(void *p) {
  uint32 before = fetch_add(&page_of(p)->refs, 1);
  if (before == 0)
    panic("page: %p is free, and gets a reference", p);
}

// Drop a reference to the page (or block) at p; the last one frees it.  Returns the references that
// are left.  Any context, interrupts on or off.
uint32 page_put(void *p);

// Give back a single page that is all zeros and has no other reference.  page_alloc_zeroed may hand
// it out as it is.
void page_put_zeroed(void *p);

// Return the references to the page at p.
static inline uint32 page_refs(void *p) {
  return load_acquire(&page_of(p)->refs);
}

// Return the kernel's pointer to the first byte of the page.
void *page_ptr(const struct page *p);

// Fill a page with zeros; copy a page.
void page_zero(void *page);
void page_copy(void *restrict dst, const void *restrict src);

// Give back all that is cached (I2).  Any context that holds no spin lock of vm/.
void page_drain(void);

// Have page_drain call reclaim, which frees what another allocator caches.  It is called with no
// lock held but the drain's.  What was added last is called first, since it may free to what was
// added before.  Boot only.
void page_add_reclaimer(void (*reclaim)(void));

// A test's hook, called at each allocation (page, block, promise, object of kmalloc): returns
// whether that must fail.  Null: there is none.  With PROVOKE=n there is no hook at all.
extern bool (*page_fail_hook)(void);
#define PAGE_HOOKED (PROVOKE && page_fail_hook)

// Ask the hook.  A failure counts as refused.
bool page_ask_hook(void);

// Return whether a test wants this allocation to fail.
static inline bool page_must_fail(void) {
  return __builtin_expect(PAGE_HOOKED, 0) && page_ask_hook();
}

// Return how many pages are managed, available (I1).
uint64 page_total(void);
uint64 page_available(void);

// Count the pages: sets total, free, reserved and refused of info.
void page_count(struct memory_info *info);
