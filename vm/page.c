// SPDX-License-Identifier: MIT
//
// Physical pages: the invariants are in page.h.
//
// Free pages are in the buddy's lists (vm/buddy.c) or in a hart's cache.  A page is counted in
// avail only after it can be found, and is taken from avail before it is looked for.  So a caller
// that took one from avail, or holds a promise, finds a page: in its own hart's cache, in the
// buddy, or in another hart's cache.
//
// Locks: page_drain_lock, then those of what it drains; a cache's, then the buddy's.
#include "vm/page.h"

#include "kern/lib/abi.h"
#include "kern/lib/atomic.h"
#include "kern/lib/errno.h"
#include "kern/lib/hart.h"
#include "kern/lib/kasan.h"
#include "kern/lib/panic.h"
#include "kern/lib/spinlock.h"
#include "vm/buddy.h"
#include "vm/kasan_shadow.h"
#include "vm/ram.h"

#define CACHE_SIZE  64
#define CACHE_BATCH 32  // pages moved between a cache and the buddy at once
#define CACHE_ZERO  8

#define RECLAIMERS_MAX 3

// [c] the lock
struct cache {
  struct spinlock lock;
  uint32 count, zero_count;       // [c]
  struct page *page[CACHE_SIZE];  // [c]
  struct page *zero[CACHE_ZERO];  // [c] pages that are all zeros
} __attribute__((aligned(64)));

static struct spinlock page_drain_lock = SPINLOCK_INIT("page drain");
static void (*reclaimers[RECLAIMERS_MAX])(void);  // [I]
static uint32 reclaimer_count;                    // [I]
static struct cache caches[HART_MAX];
static uint64 total;     // [I]
static uint64 avail;     // [a] page.h, I1
static uint64 promised;  // [a]
static uint64 refused;   // [a]

void *page_ptr(const struct page *p) {
  return pa_to_ptr(buddy_pfn(p) << PAGE_SHIFT);
}

// Return this hart's cache.
static struct cache *cache_mine(void) {
  struct cache *c = &caches[hart_index()];
  asm("" : "+r"(c));  // else the compiler works this out again for each field
  return c;
}

// Move n pages of the cache to the buddy.  Holds: c->lock.
static __attribute__((noinline)) void cache_spill(struct cache *c, uint32 n) {
  assert(spin_holding(&c->lock));
  irq_t irq = spin_lock(&buddy_lock);
  while (n-- > 0)
    buddy_put(c->page[--c->count], 0);
  spin_unlock(&buddy_lock, irq);
}

// Fill an empty cache from the buddy.  Holds: c->lock.
static __attribute__((noinline)) void cache_refill(struct cache *c) {
  assert(spin_holding(&c->lock));
  irq_t irq = spin_lock(&buddy_lock);
  struct page *p;
  while (c->count < CACHE_BATCH && (p = buddy_take(0)))
    c->page[c->count++] = p;
  spin_unlock(&buddy_lock, irq);
}

static void cache_drain(void) {
  for (uint32 i = 0; i < HART_MAX; i++) {
    struct cache *c = &caches[i];
    irq_t irq = spin_lock(&c->lock);
    cache_spill(c, c->count);
    while (c->zero_count > 0)
      c->page[c->count++] = c->zero[--c->zero_count];
    cache_spill(c, c->count);
    spin_unlock(&c->lock, irq);
  }
}

// Take a page from the hart's cache or the buddy.  NULL when both are empty.
static struct page *cache_take(struct cache *c) {
  irq_t irq = spin_lock(&c->lock);
  if (__builtin_expect(c->count == 0, 0))
    cache_refill(c);
  struct page *p = NULL;
  if (__builtin_expect(c->count > 0, 1))
    p = c->page[--c->count];
  else if (c->zero_count > 0)
    p = c->zero[--c->zero_count];
  spin_unlock(&c->lock, irq);
  return p;
}

// Take a page of zeros from the hart's cache.  NULL when it has none.
static struct page *cache_take_zero(struct cache *c) {
  irq_t irq = spin_lock(&c->lock);
  struct page *p = c->zero_count > 0 ? c->zero[--c->zero_count] : NULL;
  spin_unlock(&c->lock, irq);
  return p;
}

// Find the page that avail or a promise says is there, in some hart's cache.  Pages may move while
// we look, so we look again; many rounds in vain mean that the count is wrong.
static __attribute__((noinline)) struct page *cache_steal(void) {
  for (uint32 round = 0; round < 10000; round++) {
    panic_poll();
    for (uint32 i = 0; i < HART_MAX; i++) {
      struct page *p = cache_take(&caches[i]);
      if (p)
        return p;
    }
  }
  panic("page: none found, avail %lu promised %lu total %lu", avail, promised, total);
}

void page_add_reclaimer(void (*reclaim)(void)) {
  assert(reclaimer_count < RECLAIMERS_MAX);
  reclaimers[reclaimer_count++] = reclaim;
}

// One hart at a time; a hart that waited can use the memory that the other one returned.
void page_drain(void) {
  irq_t irq = spin_lock(&page_drain_lock);
  for (uint32 i = reclaimer_count; i > 0; i--)
    reclaimers[i - 1]();
  cache_drain();
  spin_unlock(&page_drain_lock, irq);
}

static bool avail_try(uint64 n) {
  uint64 now = load_relaxed(&avail);
  do {
    if (now < n)
      return false;
  } while (!__atomic_compare_exchange_n(&avail, &now, now - n, true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED));
  return true;
}

// avail_take when a test may want a failure, or when pages are short.
static __attribute__((noinline)) bool avail_take_slow(uint64 n) {
  if (page_must_fail())
    return false;
  bool ok = avail_try(n);
  if (!ok) {
    page_drain();
    ok = avail_try(n);
  }
  if (!ok)
    fetch_add(&refused, 1);
  return ok;
}

// Take n from avail.  Returns false when there are fewer, even after a drain.
static inline bool avail_take(uint64 n) {
  return __builtin_expect(!PAGE_HOOKED && avail_try(n), 1) || avail_take_slow(n);
}

// Hand the page to the caller, whose return address is pc.
static void *page_use(struct page *p, const void *pc) {
  kasan_page_alloc(p, pc);
  store_relaxed(&p->state, PAGE_USED);
  store_relaxed(&p->refs, 1);
  return page_ptr(p);
}

// Return the page that the caller has taken from avail or from a promise.
static void *page_claim(const void *pc) {
  struct page *p = cache_take(cache_mine());
  if (__builtin_expect(!p, 0))
    p = cache_steal();
  return page_use(p, pc);
}

void *page_alloc(void) {
  return avail_take(1) ? page_claim(__builtin_return_address(0)) : NULL;
}

__attribute__((noinline)) void page_zero(void *page) {
  KASAN_WRITES(page, PAGE_SIZE);
  uint64 *w = page;
#pragma GCC unroll 32
  for (int i = 0; i < PAGE_SIZE / 8; i++)
    w[i] = 0;
}

void page_copy(void *restrict dst, const void *restrict src) {
  KASAN_READS(src, PAGE_SIZE);
  KASAN_WRITES(dst, PAGE_SIZE);
  uint64 *to = dst, *end = (uint64 *)((char *)dst + PAGE_SIZE);
  for (const uint64 *from = src; to < end; to += 16, from += 16)
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
      to[i] = from[i];
}

void *page_alloc_zeroed(void) {
  if (!avail_take(1))
    return NULL;
  struct page *p = cache_take_zero(cache_mine());
  if (p)
    return page_use(p, __builtin_return_address(0));
  void *page = page_claim(__builtin_return_address(0));
  page_zero(page);
  return page;
}

static struct page *block_try(uint32 order) {
  irq_t irq = spin_lock(&buddy_lock);
  struct page *p = buddy_take(order);
  spin_unlock(&buddy_lock, irq);
  return p;
}

void *page_alloc_order(uint32 order) {
  assert(order <= PAGE_ORDER_MAX);
  if (order == 0)
    return page_alloc();
  if (!avail_take(1UL << order))
    return NULL;
  struct page *p = block_try(order);
  if (!p) {
    cache_drain();  // often enough, and no hart has to fence
    p = block_try(order);
  }
  if (!p) {
    page_drain();
    p = block_try(order);
  }
  if (!p) {
    fetch_add(&avail, 1UL << order);
    fetch_add(&refused, 1);
    return NULL;
  }
  return page_use(p, __builtin_return_address(0));
}

int page_promise(uint64 n) {
  if (!avail_take(n))
    return -ENOMEM;
  fetch_add(&promised, n);
  return 0;
}

void page_unpromise(uint64 n) {
  uint64 before = fetch_sub(&promised, n);
  assert(before >= n);
  fetch_add(&avail, n);
}

void *page_alloc_promised(void) {
  void *page = page_claim(__builtin_return_address(0));
  uint64 before = fetch_sub(&promised, 1);
  assert(before >= 1);
  return page;
}

static __attribute__((noinline)) void page_free(struct page *p, bool zeros) {
  struct cache *c = cache_mine();
  irq_t irq = spin_lock(&c->lock);
  if (__builtin_expect(c->count == CACHE_SIZE, 0))
    cache_spill(c, CACHE_BATCH);
  store_relaxed(&p->state, PAGE_CACHED);
  if (zeros && c->zero_count < CACHE_ZERO)
    c->zero[c->zero_count++] = p;
  else
    c->page[c->count++] = p;
  spin_unlock(&c->lock, irq);
  fetch_add(&avail, 1);
}

static __attribute__((noinline)) void block_free(struct page *p, uint32 order) {
  irq_t irq = spin_lock(&buddy_lock);
  buddy_put(p, order);
  spin_unlock(&buddy_lock, irq);
  fetch_add(&avail, 1UL << order);
}

// Drop a reference to a page, which is all zeros if zeros, for the caller, whose return address is
// pc.
static inline uint32 drop(void *ptr, bool zeros, const void *pc) {
  struct page *p = page_of(ptr);
  uint32 before = fetch_sub(&p->refs, 1);
  if (before == 0) {
    kasan_bad_free(ptr, pc);
    panic("page: %p freed twice (state %d)", ptr, p->state);
  }
  if (before == 1) {
    kasan_page_free(p, pc);
    if (__builtin_expect(p->order > 0, 0))
      block_free(p, p->order);
    else
      page_free(p, zeros);
  }
  return before - 1;
}

uint32 page_put(void *ptr) {
  return drop(ptr, false, __builtin_return_address(0));
}

void page_put_zeroed(void *ptr) {
  uint32 left = drop(ptr, true, __builtin_return_address(0));
  assert(left == 0);
}

uint64 page_total(void) {
  return total;
}

uint64 page_available(void) {
  return load_relaxed(&avail);
}

void page_count(struct memory_info *info) {
  info->total = total * PAGE_SIZE;
  info->free = page_available() * PAGE_SIZE;
  info->reserved = load_relaxed(&promised) * PAGE_SIZE;
  info->refused = load_relaxed(&refused);
}

#if PROVOKE
bool (*page_fail_hook)(void);

bool page_ask_hook(void) {
  bool fail = page_fail_hook();
  if (fail)
    fetch_add(&refused, 1);
  return fail;
}
#endif

void page_init(void) {
  uint64 first = ram_runs[0].base / PAGE_SIZE;
  uint64 count = ram_runs[ram_run_count - 1].free_end / PAGE_SIZE - first;
  buddy_init(pa_to_ptr(boot_alloc(count * sizeof(struct page))), first, count);
  for (uint32 i = 0; i < HART_MAX; i++)
    spin_init(&caches[i].lock, "page cache");
  irq_t irq = spin_lock(&buddy_lock);
  for (struct ram_run *r = ram_runs; r < ram_runs + ram_run_count; r++) {
    kasan_poison(pa_to_ptr(r->base), r->free_end - r->base, KASAN_PAGE_FREED);
    buddy_add(r->base, r->free_end);
    total += (r->free_end - r->base) / PAGE_SIZE;
    r->free_end = r->base;
  }
  spin_unlock(&buddy_lock, irq);
  store_release(&avail, total);
}
