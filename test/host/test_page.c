// SPDX-License-Identifier: MIT
//
// vm/page.c and vm/kmalloc.c: every usable page is handed out once, blocks are aligned and apart,
// whoever holds a promise gets a page, and everything comes back.
#include "test/host/vm_host.h"

#include "vm/buddy.c"
#include "vm/kmalloc.c"
#include "vm/page.c"
#include "vm/ram.c"

#define SLOTS 400

struct held {
  uint64 *p;
  uint64 size;
  uint64 stamp;
};

static bool usable(pa_t pa) {
  uint64 at = pa - RAM_BASE;
  bool in_ram = at < 0x900000 || (at >= 0xa01000 && at < RAM_SIZE);
  bool reserved = at < 0x80000 || (at >= 0x300000 && at < 0x303000) ||
                  (at >= RAM_SIZE - 0x200000 && at < RAM_SIZE - 0x200000 + 0x2000);
  bool image = at >= 0x200000 && at < 0x300000;
  return in_ram && !reserved && !image;
}

static void stamp(struct held *h) {
  h->stamp = random_below(~0UL);
  h->p[0] = h->stamp;
  h->p[h->size / 8 - 1] = h->stamp;
}

static void check_stamp(const struct held *h) {
  CHECK(h->p[0] == h->stamp && h->p[h->size / 8 - 1] == h->stamp);
}

static uint64 drains;
static uint32 draining;  // [a] the reclaimers of one drain run

// One drain at a time, with no lock but its own; what was added last comes first.
static void reclaim_last(void) {
  CHECK(__atomic_fetch_sub(&draining, 1, __ATOMIC_RELAXED) == 1 && held == 1);
}

static void reclaim_first(void) {
  __atomic_fetch_add(&drains, 1, __ATOMIC_RELAXED);
  CHECK(__atomic_fetch_add(&draining, 1, __ATOMIC_RELAXED) == 0 && held == 1);
  sched_yield();
}

static void test_boot(void) {
  uint64 expected = 0;
  for (pa_t pa = RAM_BASE; pa < RAM_BASE + RAM_SIZE; pa += PAGE_SIZE)
    expected += usable(pa);
  pa_t first = boot_alloc(100), second = boot_alloc(3 * PAGE_SIZE);
  CHECK(first == RAM_BASE + RAM_SIZE - PAGE_SIZE && second == first - 3 * PAGE_SIZE);
  CHECK(*(uint64 *)pa_to_ptr(second) == 0);
  pa_t large = boot_alloc(0x3f0000);  // fits below the reserved range near the top only
  CHECK(large == RAM_BASE + RAM_SIZE - 0x200000 - 0x3f0000);
  page_add_reclaimer(reclaim_last);
  page_add_reclaimer(reclaim_first);
  page_init();
  CHECK(page_total() < expected - 4 - 0x3f0 && page_total() > expected - 4 - 0x3f0 - 40);
  CHECK(page_available() == page_total());
}

// Take every page, in several harts' names; each must be usable and come once.
static void test_exhaust(void) {
  uint64 n = page_available(), count = 0;
  uint64 *chain = NULL, *p;
  for (; (p = page_alloc()); count++) {
    this_index = random_below(8);
    CHECK(usable(ptr_to_pa(p)) && page_refs(p) == 1);
    *p = (uint64)chain;
    chain = p;
  }
  CHECK(count == n && page_available() == 0 && page_promise(1) == -ENOMEM);
  CHECK(!page_alloc_order(1) && drains > 0);
  for (; chain; chain = p) {
    p = (uint64 *)*chain;
    this_index = random_below(8);
    page_get(chain);
    CHECK(page_put(chain) == 1 && page_put(chain) == 0);
  }
  CHECK(page_available() == n);
  void *block = page_alloc_order(PAGE_ORDER_MAX);  // merged again, out of eight caches
  CHECK(block && (ptr_to_pa(block) & ((1UL << (PAGE_ORDER_MAX + PAGE_SHIFT)) - 1)) == 0);
  page_put(block);
  CHECK(page_available() == n);
}

// Pages left over in another hart's cache serve the last allocations, and promises are kept.
static void test_promise(void) {
  uint64 n = page_available(), left = 10;
  CHECK(page_promise(left) == 0 && promised == left);
  uint64 *chain = NULL, *p;
  for (; (p = page_alloc()); chain = p)
    *p = (uint64)chain;
  for (uint64 i = 0; i < left; i++) {
    this_index = i % 8;
    p = page_alloc_promised();
    *p = (uint64)chain;
    chain = p;
  }
  CHECK(promised == 0 && page_available() == 0);
  for (; chain; chain = p) {
    p = (uint64 *)*chain;
    page_put(chain);
  }
  CHECK(page_promise(5) == 0);
  page_unpromise(5);
  CHECK(page_available() == n && promised == 0);
}

static void *take_random(struct held *h) {
  if (random_below(4) == 0) {
    uint32 order = random_below(6);
    h->p = page_alloc_order(order);
    h->size = (uint64)PAGE_SIZE << order;
    CHECK(((uint64)h->p - (uint64)ram) % h->size == 0 || !h->p);
  } else {
    h->size = ROUND_UP(8 + random_below(random_below(8) == 0 ? 65528 : 3000), 8);
    h->p = kmalloc(h->size);
    CHECK((uint64)h->p % 16 == 0);
  }
  return h->p;
}

static void test_random(void) {
  static struct held slots[SLOTS];
  uint64 n = page_available();
  for (uint32 i = 0; i < 200000; i++) {
    struct held *h = &slots[random_below(SLOTS)];
    this_index = random_below(8);
    if (h->p) {
      check_stamp(h);
      kfree(h->p);
      h->p = NULL;
    } else if (take_random(h)) {
      stamp(h);
    }
  }
  for (uint32 i = 0; i < SLOTS; i++)
    kfree(slots[i].p);
  CHECK(page_available() == n);
}

static void *churn(void *arg) {
  this_index = (uint64)arg;
  void *mine[100] = {NULL};
  for (uint32 i = 0; i < 30000; i++) {
    void **p = &mine[(i * 7919UL) % 100];
    if (*p)
      kfree(*p);
    *p = i % 5 == 0 ? page_alloc_order(i % 3) : kmalloc(i % 2500 + 1);
  }
  for (uint32 i = 0; i < 100; i++)
    kfree(mine[i]);
  return NULL;
}

static void on_all_harts(void *(*run)(void *)) {
  pthread_t thread[4];
  for (uint64 i = 0; i < 4; i++)
    CHECK(pthread_create(&thread[i], NULL, run, (void *)i) == 0);
  for (uint64 i = 0; i < 4; i++)
    pthread_join(thread[i], NULL);
}

static void test_harts(void) {
  uint64 n = page_available();
  on_all_harts(churn);
  CHECK(page_available() == n);
}

static void *find_none(void *arg) {
  this_index = (uint64)arg;
  for (uint32 i = 0; i < 2000; i++)
    CHECK(!page_alloc());
  return NULL;
}

// Drains of all harts at once.
static void test_drains(void) {
  uint64 n = page_available(), before = drains;
  CHECK(page_promise(n) == 0);
  on_all_harts(find_none);
  CHECK(drains == before + 4 * 2000);
  page_unpromise(n);
}

int main(void) {
  machine_make();
  ram_init();
  test_boot();
  test_exhaust();
  test_promise();
  test_random();
  test_harts();
  test_drains();
  return 0;
}
