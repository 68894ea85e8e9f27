// SPDX-License-Identifier: MIT
//
// Kernel stacks: areas of the stack window, with their owners' names and a small cache a hart.
//
// I1. A cached stack stays mapped, belongs to nobody (kind 0, no account), and keeps its last
//     owner's name.
// I2. A stack is all zeros when it is handed out, so the lowest nonzero word is the deepest its
//     owner ever went.
// I3. No frame is larger than ERASE_GAP and each holds its nonzero return address or frame pointer,
//     so a run of ERASE_GAP zero bytes below used stack means that nothing below was used (A1).
//     Where sp may have jumped (kstack_stain) that is not so, and the stack is unmapped instead.
// I4. A cache's place is swapped whole, so whoever takes a stack out of it, from this hart or
//     another, in a handler or not, has it alone.
// I5. An owner is complete before kind says that there is one, and goes under the window's lock.
// A1. Later frames do not leave so long a run of zeros where earlier ones were: the largest have a
//     third of it, and buffers in them less.
// Locks: the window's (vm/vmalloc.c).
#include "vm/kstack.h"

#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/kasan.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "kern/lib/string.h"
#include "vm/tlb.h"
#include "vm/unguarded.h"

#define CACHE_DEFAULT 2
#define CACHE_MAX     16
#define ERASE_CHUNK   64
#define ERASE_GAP     FRAME_MAX  // what the compiler allows

struct cache {
  uint64 reused;                    // [a] stacks handed out again, since boot
  struct vm_area *area[CACHE_MAX];  // [a] null: the place is free
} __attribute__((aligned(256)));    // so that finding one is a shift

static struct cache caches[HART_MAX];
static uint32 cache_size = CACHE_DEFAULT;  // [I] after boot
static uint64 mapped, unmapped;            // [a] stacks, since boot

void kstack_init(void) {
  cache_size = bootarg_number("kstack_cache", CACHE_DEFAULT, 0, CACHE_MAX);
}

// Take a stack from the cache.  NULL when it is empty.
static inline struct vm_area *cache_take(struct cache *c) {
  struct vm_area **place = c->area;
  do {
    struct vm_area *area = load_relaxed(place) ? atomic_swap(place, NULL) : NULL;
    if (area)
      return area;
  } while (++place < c->area + CACHE_MAX);
  return NULL;
}

// Put a stack into the cache.  Returns false when it is full.
static bool cache_put(struct cache *c, struct vm_area *area) {
  for (struct vm_area **place = c->area; place < c->area + cache_size; place++) {
    struct vm_area *free = NULL;
    if (!load_relaxed(place) && compare_swap(place, &free, area))
      return true;
  }
  return false;
}

KASAN_EXEMPT void kstack_erase(const struct vm_area *area) {
  uint64 *p = (uint64 *)(area->base + area->size), *lo = (uint64 *)area->base;
  irq_t s = irq_save();
  tlb_catch_up(area->generation);
  assert(this_hart()->fence_generation >= area->generation);
  for (uint64 gap = 0; p > lo && gap < ERASE_GAP;) {
    p -= ERASE_CHUNK / sizeof(uint64);
    gap += ERASE_CHUNK;
    if (!(p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7]))
      continue;
    p[0] = p[1] = p[2] = p[3] = p[4] = p[5] = p[6] = p[7] = 0;
    gap = 0;
  }
  irq_restore(s);
}

static struct vm_area *map_stack(void) {
  struct vm_area *area = vmalloc_range(&vmalloc_stacks, KSTACK_SIZE, KSTACK_SIZE, PROT_KERNEL_RW);
  if (area)
    fetch_add(&mapped, 1);
  return area;
}

static void unmap_stack(struct vm_area *area) {
  if (!VMAP_STACK)
    unguarded_free(area);
  fetch_add(&unmapped, 1);
  vmalloc_free(area);
}

struct vm_area *kstack_alloc(int pid, const char *name, enum stack_kind kind,
                             struct account *account) {
  if (!account_charge(account, KSTACK_PAGES))
    return NULL;
  struct cache *c = &caches[hart_index()];
  struct vm_area *area = cache_take(c);
  if (area) {
    add_relaxed(&c->reused, 1);
    kstack_erase(area);
  } else if (VMAP_STACK || kind != STACK_THREAD) {
    area = map_stack();
  } else if ((area = unguarded_alloc())) {
    fetch_add(&mapped, 1);
  }
  if (!area) {
    account_return_chain(account, KSTACK_PAGES);
    return NULL;
  }
  kasan_area_alloc(area, area->size, __builtin_return_address(0));
  area->pid = pid;
  string_copy(area->name, name, sizeof(area->name));
  area->stained = false;
  area->account = account;
  area->account_id = account->id;
  store_release(&area->kind, kind);  // I5
  return area;
}

void kstack_disown(struct vm_area *area) {
  struct account *account = area->account;
  area->account = NULL;
  store_relaxed(&area->account_id, 0);
  account_return(account, KSTACK_PAGES);
}

int kstack_limit(struct vm_area *area, uint64 limit) {
  struct account *account;
  int r = account_create(area->account, limit, KSTACK_PAGES, &account);
  if (r < 0)
    return r;
  store_release(&area->account, account);
  store_relaxed(&area->account_id, account->id);
  return account->id;
}

void kstack_free(struct vm_area *area) {
  kasan_area_free(area, __builtin_return_address(0));
  if (area->account)
    kstack_disown(area);
  irq_t s = spin_lock(&vmalloc_stacks.lock);
  assert(area->kind != 0 && area->base != this_hart()->stack_lo);
  area->kind = 0;
  area->saved_sp = NULL;
  area->on = NULL;
  spin_unlock(&vmalloc_stacks.lock, s);
  if (area->stained || !cache_put(&caches[hart_index()], area))
    unmap_stack(area);
}

void kstack_stain(struct vm_area *area) {
  area->stained = true;
  kasan_unpoison((void *)area->base, area->size);
}

void kstack_watch(struct vm_area *area, const uint64 *saved_sp, struct hart *const *on) {
  store_relaxed(&area->on, on);
  store_release(&area->saved_sp, saved_sp);
}

void kstack_rename(struct vm_area *area, const char *name) {
  irq_t s = spin_lock(&vmalloc_stacks.lock);
  string_copy(area->name, name, sizeof(area->name));
  spin_unlock(&vmalloc_stacks.lock, s);
}

// Return whether somebody owns the stack in slot i, of those that there are.
static bool is_live(uint64 i) {
  if (i >= kstack_slots())
    return false;
  const struct vm_area *area = &vmalloc_stacks.areas[i];
  return area->kind != 0 && area->base == KSTACK_BASE + i * KSTACK_SLOT + KSTACK_GUARD;
}

void kstack_describe(vaddr_t va, struct kstack_slot *slot) {
  *slot = (struct kstack_slot){.pid = -1};
  if (va < KSTACK_BASE || va >= KSTACK_END)
    return;
  uint64 i = (va - KSTACK_BASE) >> KSTACK_SLOT_SHIFT;
  slot->in_window = true;
  slot->in_guard = (va & (KSTACK_SLOT - 1)) < KSTACK_GUARD;
  slot->lo = ROUND_DOWN(va, KSTACK_SLOT) + KSTACK_GUARD;
  slot->hi = slot->lo + KSTACK_SIZE;
  slot->live = is_live(i);
  slot->below_live = is_live(i - 1);
  if (i >= kstack_slots())  // the window is larger than RAM can back: nobody's
    return;
  const struct vm_area *area = &vmalloc_stacks.areas[i];
  slot->pid = area->pid;
  memcpy(slot->name, area->name, sizeof(slot->name));
  slot->name[sizeof(slot->name) - 1] = '\0';
}

void kstack_count(struct kstack_counts *counts) {
  counts->unmapped = load_acquire(&unmapped);  // first, so that the difference is not negative
  counts->mapped = load_relaxed(&mapped);
  counts->stacks = counts->mapped - counts->unmapped;
  counts->lazy = load_relaxed(&vmalloc_stacks.lazy_count);
  counts->cached = counts->reused = 0;
  for (uint32 i = 0; i < hart_count; i++) {
    counts->reused += load_relaxed(&caches[i].reused);
    for (uint32 k = 0; k < cache_size; k++)
      counts->cached += load_relaxed(&caches[i].area[k]) != NULL;
  }
}

uint64 kstack_slots(void) {
  return vmalloc_stacks.granules.count;
}

// Return the hart that runs on the stack at lo, or NULL.
static const struct hart *running_on(vaddr_t lo) {
  for (uint32 i = 0; i < hart_count; i++)
    if (load_relaxed(&harts[i].stack_lo) == lo)
      return &harts[i];
  return NULL;
}

// Return the most bytes that the stack's owner ever used (I2).
KASAN_EXEMPT static uint64 peak(const struct vm_area *area) {
  const volatile uint64 *p = (const uint64 *)area->base;
  uint64 unused = 0;
  while (unused < area->size && p[unused / sizeof(*p)] == 0)
    unused += sizeof(*p);
  return area->size - unused;
}

// Return the owner's sp: now, if it is the caller; else as of its last switch.  0: unknown.
static uint64 owner_sp(const struct vm_area *area) {
  if (area->base == this_hart()->stack_lo)
    return (uint64)__builtin_frame_address(0);
  uint64 sp = area->saved_sp ? load_relaxed(area->saved_sp) : 0;
  return sp >= area->base && sp <= area->base + area->size ? sp : 0;
}

// Holds: the window's lock, so that the stack stays mapped.
static void fill_info(const struct vm_area *area, struct stack_info *info) {
  uint64 hi = area->base + area->size, sp = owner_sp(area);
  const struct hart *running = running_on(area->base);
  const struct hart *on = running || !area->on ? running : *area->on;
  *info = (struct stack_info){.lo = area->base, .hi = hi, .pid = area->pid, .kind = area->kind};
  string_copy(info->name, area->name, sizeof(info->name));
  info->account = load_relaxed(&area->account_id);
  info->running = running != NULL;
  info->hart = on ? (int)on->index : -1;
  info->sp = running ? 0 : sp;
  info->depth = sp ? hi - sp : 0;
  tlb_catch_up(area->generation);
  assert(this_hart()->fence_generation >= area->generation);
  info->peak = peak(area);
}

bool kstack_info(uint64 i, struct stack_info *info) {
  assert(i < kstack_slots());
  const struct vm_area *area = &vmalloc_stacks.areas[i];
  irq_t s = spin_lock(&vmalloc_stacks.lock);
  bool owned = load_acquire(&area->kind) != 0;
  if (owned)
    fill_info(area, info);
  spin_unlock(&vmalloc_stacks.lock, s);
  return owned;
}

uint64 kstack_drain(void) {
  uint64 drained = 0;
  for (uint32 i = 0; i < hart_count; i++)
    for (struct vm_area *area; (area = cache_take(&caches[i])); drained++)
      unmap_stack(area);
  return drained;
}
