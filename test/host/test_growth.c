// SPDX-License-Identifier: MIT
//
// Stacks that grow: vm/kstack.c, vm/vmalloc.c and vm/tlb.c, with KSTACK_GROW=y, on harts that cache
// as much as the specification lets them, what is not mapped included (test_vmalloc.c).
//
// 1. The hart on which a stack grows finds its new pages at once.
// 2. Another one does so when it has caught up with the stack's generation.  One that has not may
//    fault, once: then it finds that it has to fence.
// 3. When a frame is given back, no hart has a translation to it.
// 4. Growth takes spare pages and no others; accounts pay for what is mapped; all of it comes back.
//
// Links: vm/arena.c
#undef KSTACK_GROW
#define KSTACK_GROW 1
#include "test/host/vm_host.h"
#include "test/host/window_host.h"

#define VMAP_STACK 1
#include "vm/account.c"
#include "vm/kstack.c"
#include "vm/tlb.c"
#include "vm/vmalloc.c"

#define SLOT_PAGES (KSTACK_SLOT / PAGE_SIZE)
#define LIVE_MAX   60
#define FRAMES     400
#define STEPS      100000

static struct kstack *live[LIVE_MAX];
static uint32 live_count;
static struct account *limited;
static uint64 most = ~0UL;                // that it may pay for while memory is allocated
static bool growing;                      // no page may be allocated, and no frame given back
static uint32 grown, no_memory, no_room;  // how often

struct kstack_cache kstack_caches[HART_MAX];
uint32 kstack_cache_size = 2;

static uint64 page_of_address(vaddr_t va) {
  return (va - KSTACK_BASE) >> PAGE_SHIFT;
}

// Page p of the window, as the hart's cache has it or else the page table.
static pte_t look(uint32 hart, uint64 p) {
  return look_at(hart, kstack_window.ptes, p);
}

// Let every hart look at live stacks, all of their pages.
static void speculate(void) {
  for (uint32 h = 0; h < hart_count; h++)
    for (uint32 i = 0; i < 4 && live_count > 0; i++)
      look(h, page_of_address(live[random_below(live_count)]->lo) + random_below(KSTACK_PAGES));
}

static void tlb_fence_all(void) {
  speculate();
  epoch[hart_index()]++;
  speculate();
}

void sbi_remote_sfence(uint64 id) {
  speculate();
  epoch[id]++;
  speculate();
}

void *page_alloc_zeroed(void) {
  CHECK(!growing && (!limited || limited->used <= most));
  speculate();
  if (ram_page_count == 0 || random_below(20) == 0)
    return NULL;
  frames_out++;
  return ram_pages[--ram_page_count];
}

uint32 page_put(void *p) {
  CHECK(!growing);
  frame_back(p);
  return 0;
}

void page_add_reclaimer(void (*reclaim)(void)) {
  (void)reclaim;
}

bool unguarded_take(struct kstack *stack) {
  CHECK(!stack);
  return false;
}

void unguarded_give(const struct kstack *stack) {
  CHECK(!stack);
}

void kstack_erase(const struct kstack *stack) {
  CHECK(kstack_mapped(stack) == stack->lo + KSTACK_SIZE - PAGE_SIZE);  // none that has grown
}

uint64 kstack_peak(const struct kstack *stack) {
  (void)stack;
  return 0;
}

void *kmalloc(size_t size) {
  return malloc(size);
}

void kfree(void *p) {
  free(p);
}

// This hart finds all that is mapped of the stack, and as the table has it.
static void check_seen(const struct kstack *stack, vaddr_t from) {
  for (uint64 p = page_of_address(from); p < page_of_address(stack->lo + KSTACK_SIZE); p++) {
    CHECK(look(this_index, p) & PTE_V);
    CHECK(look(this_index, p) == kstack_window.ptes[p]);
  }
}

static void make_one(void) {
  if (live_count == LIVE_MAX)
    return;
  enum stack_kind kind = random_below(10) == 0 ? STACK_INTERRUPT : STACK_THREAD;
  struct account *account = random_below(2) ? limited : &account_root;
  most = limited->used + 1;  // or another's stack could not grow meanwhile
  struct kstack *stack = kstack_alloc(1, "stack", kind, account);
  most = ~0UL;
  if (!stack)
    return;
  live[live_count++] = stack;
  uint64 n = (stack->lo + KSTACK_SIZE - kstack_mapped(stack)) / PAGE_SIZE;
  CHECK(n == (kind == STACK_THREAD ? 1 : KSTACK_PAGES) && stack->charged == n);
}

static void free_one(void) {
  if (live_count == 0)
    return;
  uint32 i = random_below(live_count);
  struct kstack *stack = live[i];
  live[i] = live[--live_count];
  kstack_free(stack);
}

// Switch to a stack, as the scheduler does, and go down on it.
static void run_one(void) {
  if (live_count == 0)
    return;
  struct kstack *stack = live[random_below(live_count)];
  vaddr_t mapped = kstack_mapped(stack), to = stack->lo + random_below(KSTACK_PAGES) * PAGE_SIZE;
  tlb_catch_up(stack->generation);
  check_seen(stack, mapped);
  if (to >= mapped)
    return;
  uint32 spares = this_hart()->spares, keep = random_below(3), n = (mapped - to) / PAGE_SIZE;
  growing = true;
  const char *lacks = kstack_grow(stack, to, keep);
  growing = false;
  CHECK(kstack_mapped(stack) == (lacks ? mapped : to));
  check_seen(stack, kstack_mapped(stack));
  if (!lacks) {
    grown++;
    CHECK(this_hart()->spares == spares - n && spares - n >= keep);
    CHECK(stack->charged == KSTACK_PAGES - (to - stack->lo) / PAGE_SIZE);
  } else if (*lacks == 'm') {
    no_memory++;
    CHECK(spares < n + keep);
  } else {
    no_room++;
    CHECK(stack->account == limited && limited->limit - limited->used < n);
  }
}

// Touch a stack by a pointer, without catching up: one fence resolves a fault.
static void touch_one(void) {
  if (live_count == 0)
    return;
  const struct kstack *stack = live[random_below(live_count)];
  vaddr_t mapped = kstack_mapped(stack);
  uint64 p = page_of_address(mapped + random_below((stack->lo + KSTACK_SIZE - mapped) / PAGE_SIZE) *
                                          PAGE_SIZE);
  if (!(look(this_index, p) & PTE_V))
    CHECK(tlb_refresh() && (look(this_index, p) & PTE_V));
}

// As long as an account is not full, it pays for the pages of its stacks, and for no others.
static void check_accounts(void) {
  uint64 pages_of[2] = {0, 0};
  for (uint32 i = 0; i < live_count; i++)
    pages_of[live[i]->account == limited] += pages(live[i]);
  CHECK(limited->used == 1 + pages_of[1]);
  CHECK(account_root.used == 1 + pages_of[0] + pages_of[1]);
}

static void step(void) {
  this_index = random_below(hart_count);
  speculate();
  uint32 what = random_below(100);
  if (what < 30)
    run_one();
  else if (what < 45)
    touch_one();
  else if (what < 65)
    make_one();
  else if (what < 83)
    free_one();
  else if (what < 98)
    kstack_refill();
  else
    vmalloc_drain();
  check_accounts();
}

int main(void) {
  machine_make();
  hart_count = 4;
  for (uint32 i = 0; i < hart_count; i++) {
    harts[i].id = i;
    harts[i].online = true;
    epoch[i] = 1;
  }
  for (uint32 i = 0; i < FRAMES; i++)
    ram_pages[ram_page_count++] = ram + i * PAGE_SIZE;
  kstack_init();
  CHECK((uint64)kstack_window.granules.count * SLOT_PAGES <= PAGES);
  CHECK(account_charge(&account_root, 1, 1));
  CHECK(account_create(&account_root, 60, 1, &limited) == 0);
  for (uint32 i = 0; i < STEPS; i++)
    step();
  while (live_count > 0)
    free_one();
  kstack_drain();
  vmalloc_drain();
  uint32 spares = 0;
  for (uint32 i = 0; i < hart_count; i++)
    spares += harts[i].spares;
  CHECK(frames_out == spares && kstack_window.granules.free == kstack_window.granules.count);
  CHECK(grown > STEPS / 50 && no_memory > 0 && no_room > 0);
  printf("test_growth: %u grew, %u had no memory, %u no room\n", grown, no_memory, no_room);
  return 0;
}
