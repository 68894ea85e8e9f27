// SPDX-License-Identifier: MIT
//
// vm/vmalloc.c and vm/tlb.c on harts that cache as much as the specification lets them.
//
// Each hart has a model of its address-translation cache.  It may cache what the page table says of
// any page at any moment, invalid entries included, and forgets only when it fences.  QEMU caches
// no invalid entry, so only here does a missing fence after mapping show.
// 1. A hart that has caught up with an area's generation finds each of its pages as it is now.
//    One that has not may fault, once: then it finds that it has to fence (tlb_refresh).
// 2. When a frame is given back, no hart that is online has a translation to it; a hart that comes
//    online has none to a frame given back before.
//
// Links: vm/arena.c
#include "test/host/vm_host.h"
#include "test/host/window_host.h"

#include "vm/tlb.c"
#include "vm/vmalloc.c"

#define LIVE_MAX  200
#define STEPS     60000
#define DRAIN_ODD 40

// As vm/kstack.c has it.
static struct vmalloc_arena window = {
    .lock = SPINLOCK_INIT("window"),
    .shift = KSTACK_SLOT_SHIFT,
    .guard_below = KSTACK_GUARD,
    .base = KSTACK_BASE,
    .end = KSTACK_END,
};

static struct vm_area *live[LIVE_MAX + 2];  // two may be off the list at once
static uint32 live_count;
static uint32 fail_at;  // the allocation to fail, counted down; 0: none
static bool running;    // the model: harts act on their own

// Page p of the stack window, as the hart's cache has it or else the page table.
static pte_t look(uint32 hart, uint64 p) {
  return look_at(hart, window.ptes, p);
}

// Let every hart look at what it likes: mostly where stacks are about to be, and at live ones.
static void speculate(void) {
  uint64 next = window.granules.next + window.granules.count - 1;
  for (uint32 h = 0; h < hart_count; h++)
    for (uint32 i = 0; i < 4; i++) {
      uint64 slot = (next + random_below(3)) % window.granules.count;
      if (live_count > 0 && random_below(3) == 0)
        slot = (live[random_below(live_count)]->base - KSTACK_BASE) >> KSTACK_SLOT_SHIFT;
      look(h, slot * 8 + random_below(8));
    }
}

static void map_one(void) {
  if (live_count >= LIVE_MAX)
    return;
  struct vm_area *area = vmalloc_range(&window, KSTACK_SIZE);
  if (area)
    live[live_count++] = area;
}

// Take a random area off the list, so that no other thread frees it meanwhile.  NULL: none is left.
static struct vm_area *pick(void) {
  if (live_count == 0)
    return NULL;
  uint32 i = random_below(live_count);
  struct vm_area *area = live[i];
  live[i] = live[--live_count];
  return area;
}

static void free_one(void) {
  struct vm_area *area = pick();
  if (area)
    vmalloc_free(area);
}

static void free_and_drain(void) {
  free_one();
  vmalloc_drain();
}

// Let another hart do something in the midst of what this one does, and go on as this one.
static void meanwhile(void (*act)(void)) {
  uint32 me = this_index;
  this_index = random_below(2);  // harts 0 and 1 are always online
  if (this_index != me)
    act();
  this_index = me;
}

static void tlb_fence_all(void) {
  speculate();
  epoch[hart_index()]++;
  speculate();
  if (running && held == 0)
    meanwhile(random_below(2) ? map_one : free_and_drain);
}

void sbi_remote_sfence(uint64 id) {
  speculate();
  epoch[id]++;
  speculate();
  if (window.lazy_count < LAZY_BATCH / 2)
    meanwhile(free_one);
}

void *page_alloc_zeroed(void) {
  speculate();
  if (ram_page_count == 0 || random_below(100) == 0 || (fail_at > 0 && --fail_at == 0))
    return NULL;
  frames_out++;
  return ram_pages[--ram_page_count];
}

uint32 page_put(void *p) {
  speculate();
  frame_back(p);
  return 0;
}

static void (*reclaimer)(void);
void page_add_reclaimer(void (*reclaim)(void)) {
  reclaimer = reclaim;
}

// Run on a stack, as the scheduler does: catch up, then touch it.
static void use_one(void) {
  struct vm_area *area = pick();
  if (!area)
    return;
  tlb_catch_up(area->generation);
  for (uint64 p = (area->base - KSTACK_BASE) >> PAGE_SHIFT, n = 0; n < 4; n++) {
    CHECK(look(this_index, p + n) == window.ptes[p + n]);
    CHECK(look(this_index, p + n) & PTE_V);
  }
  live[live_count++] = area;
}

// Touch what another hart mapped without catching up: a fault is resolved by one fence, and only by
// a needed one.
static void touch_one(void) {
  struct vm_area *area = pick();
  if (!area)
    return;
  uint64 p = ((area->base - KSTACK_BASE) >> PAGE_SHIFT) + random_below(4);
  if (!(look(this_index, p) & PTE_V))
    CHECK(tlb_refresh() && (look(this_index, p) & PTE_V));
  live[live_count++] = area;
}

static void go_online(void) {
  tlb_hart_online();
  for (uint64 p = 0; p < PAGES; p++)
    if (cache[this_index][p].epoch == epoch[this_index] && cache[this_index][p].pte)
      CHECK(((cache[this_index][p].pte ^ window.ptes[p]) & ~PTE_V) == 0);
}

static void step(void) {
  this_index = random_below(hart_count);
  speculate();
  if (!this_hart()->online) {
    if (random_below(500) == 0)
      go_online();
    return;
  }
  uint64 what = random_below(100);
  if (what < 20)
    use_one();
  else if (what < 40)
    touch_one();
  else if (what < 72)
    map_one();
  else
    free_one();
  if (random_below(DRAIN_ODD) == 0)
    vmalloc_drain();
}

static uint64 mapped_pages(const struct vmalloc_arena *arena) {
  uint64 n = 0, pages = (uint64)arena->granules.count << (arena->shift - PAGE_SHIFT);
  for (uint64 i = 0; i < pages; i++)
    n += arena->ptes[i] & PTE_V;
  return n;
}

// An area of each size: where it is found, what is mapped, the guard above, all of it returned.
static void test_general(uint64 size) {
  struct vmalloc_arena *g = &vmalloc_general;
  uint64 pages = (size + PAGE_SIZE - 1) / PAGE_SIZE, granule = 1UL << g->shift;
  struct vm_area *area = NULL;
  for (int i = 0; i < 1000 && !area; i++) {
    CHECK(mapped_pages(g) == 0 && frames_out == 0 && g->granules.free == g->granules.count);
    area = vmalloc_range(g, size);
  }
  CHECK(area && area->pages == pages && area->base % granule == 0);
  CHECK(area->granules == pages * PAGE_SIZE / granule + 1);
  CHECK(mapped_pages(g) == pages && frames_out == pages);
  uint64 first = (area->base - g->base) >> PAGE_SHIFT;
  for (uint64 i = 0; i < pages; i++)
    CHECK(g->ptes[first + i] & PTE_V);
  vaddr_t end = area->base + area->granules * granule;
  CHECK(vmalloc_find(g, area->base) == area && vmalloc_find(g, end - 1) == area);
  CHECK(!vmalloc_find(g, end) && !vmalloc_find(g, area->base - 1));
  vmalloc_free(area);
  CHECK(mapped_pages(g) == 0 && vmalloc_find(g, area->base) == area && frames_out == pages);
  vmalloc_drain();
  CHECK(frames_out == 0 && !vmalloc_find(g, area->base));
}

// Wherever memory runs out: nothing stays, nothing was visible, and no hart needs a fence.
static void test_failures(void) {
  struct vmalloc_arena *w = &window;
  uint64 fences = tlb_fence_count();
  for (uint32 n = 1; n <= KSTACK_SIZE / PAGE_SIZE; n++) {
    fail_at = n;
    CHECK(!vmalloc_range(w, KSTACK_SIZE));
    CHECK(frames_out == 0 && w->granules.free == w->granules.count && w->lazy_count == 0);
    for (uint64 p = 0; p < w->granules.count * (KSTACK_SLOT / PAGE_SIZE); p++)
      CHECK(w->ptes[p] == 0);
  }
  CHECK(tlb_fence_count() == fences);
  fail_at = 0;
}

static void test_bounds(void) {
  uint64 end = VMALLOC_BASE + ((uint64)vmalloc_general.granules.count << vmalloc_general.shift);
  vaddr_t outside[] = {0, VMALLOC_BASE - 1, end, VMALLOC_END, KSTACK_BASE, ~0UL};
  for (uint32 i = 0; i < ARRAY_SIZE(outside); i++)
    CHECK(!vmalloc_find(&vmalloc_general, outside[i]));
  CHECK(!vmalloc_range(&vmalloc_general, 1UL << 40));
}

// A fault is not retried for ever.
static void test_refresh(void) {
  this_index = 1;
  CHECK(tlb_refresh() && !tlb_refresh());
  this_index = 0;
}

int main(void) {
  machine_make();
  for (uint32 i = 0; i < hart_count; i++) {
    harts[i].id = i;
    harts[i].online = i < 2;
    epoch[i] = 1;
  }
  for (uint32 i = 0; i < 600; i++)
    ram_pages[ram_page_count++] = ram + i * PAGE_SIZE;
  vmalloc_add_arena(&window, RAM_SIZE / KSTACK_SIZE * KSTACK_SLOT);
  vmalloc_init();
  CHECK(reclaimer == vmalloc_drain);
  CHECK((uint64)window.granules.count * 8 <= PAGES);
  uint64 sizes[] = {1, 4096, 4097, 61440, 61441, 65536, 131072, 200000};
  for (uint32 i = 0; i < ARRAY_SIZE(sizes); i++)
    test_general(sizes[i]);
  test_bounds();
  test_failures();
  test_refresh();
  running = true;
  for (uint32 i = 0; i < STEPS; i++)
    step();
  while (live_count > 0)
    free_one();
  vmalloc_drain();
  CHECK(frames_out == 0);
  CHECK(window.granules.free == window.granules.count);
  return 0;
}
