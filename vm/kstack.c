// SPDX-License-Identifier: MIT
//
// Kernel stacks: slots of the stack window, and who has them.
//
// A stack comes from this hart's cache (vm/kstack_cache.h), or is made: vmalloc_range takes a slot,
// puts pages behind its entries, sets V in them, and fences this hart.
// I4. An owner is complete before kind says that there is one, and is taken away under the window's
//     lock.
// I5. The reserve's entries belong to the stack's owner alone until it is freed, so it changes them
//     without the lock; and so do those of the pages that the stack has yet to get.
// Locks: the window's.
#include "vm/kstack.h"

#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/panic.h"
#include "kern/lib/string.h"
#include "vm/kstack_cache.h"
#include "vm/page.h"
#include "vm/tlb.h"
#include "vm/unguarded.h"

struct vmalloc_arena kstack_window = {
    .lock = SPINLOCK_INIT("kstack window"),
    .shift = KSTACK_SLOT_SHIFT,
    .guard_below = KSTACK_SLOT - KSTACK_BORN * PAGE_SIZE,
    .base = KSTACK_BASE,
    .end = KSTACK_END,
};
enum { RESERVE_PAGES = KSTACK_RESERVE / PAGE_SIZE };

static struct kstack *kstacks;                 // [I] one a slot
static uint64 stacks_mapped, stacks_unmapped;  // [a] since boot
static uint64 stacks_grown;                    // [a] times, since boot

void kstack_init(void) {
  vmalloc_add_arena(&kstack_window, ram_size() / KSTACK_SIZE * KSTACK_SLOT);
  kstacks = pa_to_ptr(boot_alloc(kstack_slots() * sizeof(*kstacks)));
  for (uint64 i = 0; i < kstack_slots(); i++)
    kstacks[i].pid = -1;
  page_add_reclaimer(kstack_drain);
}

// Make a stack in a free slot.  Without a guard it is a block elsewhere, and the slot stays empty.
static struct kstack *kstack_map(bool guarded) {
  struct vm_area *area = vmalloc_range(&kstack_window, guarded ? KSTACK_BORN * PAGE_SIZE : 0);
  if (!area)
    return NULL;
  struct kstack *stack = &kstacks[area->first];
  stack->lo = KSTACK_GROW ? ROUND_DOWN(area->base, KSTACK_SIZE) : area->base;
  stack->generation = area->generation;
  if (!guarded && !unguarded_take(stack)) {
    vmalloc_free(area);
    return NULL;
  }
  fetch_add(&stacks_mapped, 1);
  return stack;
}

static void kstack_unmap(struct kstack *stack) {
  if (!VMAP_STACK)
    unguarded_give(stack);
  fetch_add(&stacks_unmapped, 1);
  vmalloc_free(&kstack_window.areas[stack - kstacks]);
}

static uint64 pages(const struct kstack *stack) {
  return (stack->lo + KSTACK_SIZE - kstack_mapped(stack)) / PAGE_SIZE;
}

// The stack is none that grows: give it its other pages now.
static struct kstack *make_whole(struct kstack *stack) {
  irq_t irq = irq_save();
  kstack_refill();
  bool whole = !kstack_grow(stack, stack->lo, 0);
  irq_restore(irq);
  if (!whole)
    kstack_free(stack);
  return whole ? stack : NULL;
}

struct kstack *kstack_alloc(int pid, const char *name, enum stack_kind kind,
                            struct account *account) {
  if (!account_charge(account, KSTACK_BORN, KSTACK_PAGES))
    return NULL;
  struct kstack_cache *c = &kstack_caches[hart_index()];
  struct kstack *stack = kstack_cache_take(c);
  if (stack) {
    add_relaxed(&c->reused, 1);
    kstack_erase(stack);
  } else if (!(stack = kstack_map(VMAP_STACK || kind != STACK_THREAD))) {
    account_return(account, KSTACK_BORN);
    return NULL;
  }
  kasan_stack_alloc(stack, __builtin_return_address(0));
  stack->pid = pid;
  string_copy(stack->name, name, sizeof(stack->name));
  stack->distrusted = false;
  stack->account = account;
  stack->account_id = account->id;
  if (KSTACK_GROW)
    stack->charged = KSTACK_BORN;
  store_release(&stack->kind, kind);  // I4
  return KSTACK_GROW && kind != STACK_THREAD ? make_whole(stack) : stack;
}

// Return how many pages the account pays for.
static uint64 charged(const struct kstack *stack) {
  return KSTACK_GROW ? stack->charged : KSTACK_PAGES;
}

void kstack_disown(struct kstack *stack) {
  assert(!irq_enabled());
  struct account *account = stack->account;
  stack->account = NULL;
  store_relaxed(&stack->account_id, 0);
  account_return(account, charged(stack));
}

int kstack_limit(struct kstack *stack, uint64 limit) {
  struct account *account;
  int err = account_create(stack->account, limit, KSTACK_PAGES, &account);
  if (err < 0)
    return err;
  irq_t irq = irq_save();  // and no call is made: it does not grow meanwhile
  if (KSTACK_GROW)
    account->used = stack->charged;
  store_release(&stack->account, account);
  irq_restore(irq);
  store_relaxed(&stack->account_id, account->id);
  return account->id;
}

void kstack_refill(void) {
  struct hart *h = this_hart();
  void *page;
  while (h->spares < KSTACK_POOL && (page = page_alloc_zeroed()))
    h->spare[h->spares++] = page;  // read after the call, which may have made this stack grow
}

// Return the entry of the page at va.
static pte_t *pte_at(vaddr_t va) {
  return &kstack_window.ptes[(va - KSTACK_BASE) >> PAGE_SHIFT];
}

// Return how many pages are missing from there up to what is mapped.
static uint32 missing(vaddr_t to) {
  const pte_t *first = pte_at(to), *pte = first;
  while (!*pte)
    pte++;
  return pte - first;
}

bool kstack_can_extend(const struct kstack *stack, vaddr_t to) {
  assert(to >= stack->lo - KSTACK_RESERVE);
  return VMAP_STACK && missing(to) - 1 < this_hart()->spares;  // if none is: a large number
}

void kstack_extend(struct kstack *stack, vaddr_t to) {
  struct hart *h = this_hart();
  uint32 n = missing(to);
  for (pte_t *first = pte_at(to), *pte = first + n; pte > first;)
    *--pte = pa_to_pte(ptr_to_pa(h->spare[--h->spares])) | prot_bits(PROT_KERNEL_RW);
  stack->generation = tlb_mapped();
  kasan_unpoison((void *)to, n * PAGE_SIZE);
#if KSTACK_GROW
  struct vm_area *area = &kstack_window.areas[stack - kstacks];
  vaddr_t base = to < stack->lo ? stack->lo : to;
  area->pages = (stack->lo + KSTACK_SIZE - base) / PAGE_SIZE;
  store_release(&area->base, base);
#endif
}

const char *kstack_grow(struct kstack *stack, vaddr_t to, uint32 keep) {
  uint32 n = missing(to);
  if (n + keep > this_hart()->spares)
    return "memory";
  if (stack->account && !account_charge(stack->account, n, n))
    return "account";
  stack->charged += stack->account ? n : 0;  // else kstack_disown, if it grows, returns too much
  kstack_extend(stack, to);
  add_relaxed(&stacks_grown, 1);
  return NULL;
}

void kstack_close_reserve(const struct kstack *stack) {
  pte_t *pte = pte_at(stack->lo - KSTACK_RESERVE);
  for (uint32 i = 0; i < RESERVE_PAGES; i++)
    pte[i] &= ~PTE_V;
  tlb_fence_all();  // harts it has left may still see what is its own until it is freed
}

// Take the reserve back, if the stack has it.  Not inlined, so that kstack_free stays short.
static __attribute__((noinline)) void take_back_reserve(struct kstack *stack) {
  pte_t *pte = pte_at(stack->lo - KSTACK_RESERVE);
  if (!VMAP_STACK || !pte[0])
    return;
  kstack_close_reserve(stack);
  tlb_fence_harts();
  for (uint32 i = 0; i < RESERVE_PAGES; i++) {
    page_put(pa_to_ptr(pte_to_pa(pte[i])));
    pte[i] = 0;
  }
}

// Return whether the hart runs on the stack, of which the upper part may not be in use.
static bool runs_on(const struct hart *h, const struct kstack *stack) {
  return load_relaxed(&h->stack_hi) - stack->lo - 1 < KSTACK_SIZE;
}

void kstack_free(struct kstack *stack) {
  kasan_stack_free(stack, __builtin_return_address(0));
  if (stack->distrusted)
    take_back_reserve(stack);
  irq_t irq = spin_lock(&kstack_window.lock);
  assert(stack->kind != 0 && !runs_on(this_hart(), stack));
  if (stack->account)
    account_return(stack->account, charged(stack));
  stack->account = NULL;
  store_relaxed(&stack->account_id, 0);
  stack->kind = 0;
  stack->thread_sp = NULL;
  stack->thread_hart = NULL;
  spin_unlock(&kstack_window.lock, irq);
  if (stack->distrusted || pages(stack) > KSTACK_BORN || !kstack_cache_put(stack))
    kstack_unmap(stack);
}

void kstack_drain(void) {
  for (uint32 i = 0; i < hart_count; i++)
    for (struct kstack *stack; (stack = kstack_cache_take(&kstack_caches[i]));)
      kstack_unmap(stack);
}

void kstack_distrust(struct kstack *stack) {
  stack->distrusted = true;
  kasan_unpoison((void *)stack->lo, KSTACK_SIZE);
}

void kstack_set_thread(struct kstack *stack, const uint64 *sp, struct hart *const *hart) {
  store_relaxed(&stack->thread_hart, hart);
  store_release(&stack->thread_sp, sp);
}

void kstack_rename(struct kstack *stack, const char *name) {
  irq_t irq = spin_lock(&kstack_window.lock);
  string_copy(stack->name, name, sizeof(stack->name));
  spin_unlock(&kstack_window.lock, irq);
}

uint64 kstack_slots(void) {
  return kstack_window.granules.count;
}

struct kstack *kstack_at(vaddr_t va) {
  uint64 i = (va - KSTACK_BASE) >> KSTACK_SLOT_SHIFT;  // below the window: wraps to a large number
  return i < kstack_slots() ? &kstacks[i] : NULL;
}

// Return whether the slot of va has an owner whose stack lies in it.
static bool is_live(vaddr_t va) {
  const struct kstack *stack = kstack_at(va);
  return stack && stack->kind != 0 && stack->lo == ROUND_DOWN(va, KSTACK_SLOT) + KSTACK_GUARD;
}

struct kstack_slot kstack_describe(vaddr_t va) {
  struct kstack_slot slot = {.pid = -1};
  if (va < KSTACK_BASE || va >= KSTACK_END)
    return slot;
  slot.in_window = true;
  slot.in_guard = (va & (KSTACK_SLOT - 1)) < KSTACK_GUARD;
  slot.lo = ROUND_DOWN(va, KSTACK_SLOT) + KSTACK_GUARD;
  slot.hi = slot.lo + KSTACK_SIZE;
  slot.live = is_live(va);
  slot.below_live = is_live(va - KSTACK_SLOT);
  const struct kstack *stack = kstack_at(va);
  if (stack) {  // not beyond the slots that RAM can back
    slot.pid = stack->pid;
    string_copy(slot.name, stack->name, sizeof(slot.name));
  }
  return slot;
}

void kstack_count(struct memory_info *info) {
  // Unmapped ones first, so that the difference is not negative.
  info->unmapped = load_acquire(&stacks_unmapped);
  info->mapped = load_relaxed(&stacks_mapped);
  info->stacks = info->mapped - info->unmapped;
  info->lazy = load_relaxed(&kstack_window.lazy_count);
  info->grown = load_relaxed(&stacks_grown);
  info->cached = info->reused = 0;
  for (uint32 i = 0; i < hart_count; i++) {
    info->reused += load_relaxed(&kstack_caches[i].reused);
    for (uint32 k = 0; k < kstack_cache_size; k++)
      info->cached += !!load_relaxed(&kstack_caches[i].stack[k]);
  }
}

// Return the owner's sp: now, if it is the caller; else as of its last switch.  0: unknown.
static uint64 owner_sp(const struct kstack *stack) {
  if (runs_on(this_hart(), stack))
    return (uint64)__builtin_frame_address(0);
  uint64 sp = stack->thread_sp ? load_relaxed(stack->thread_sp) : 0;
  return sp >= stack->lo && sp <= stack->lo + KSTACK_SIZE ? sp : 0;
}

// Holds: the window's lock, so that the stack stays mapped.
static void fill_info(const struct kstack *stack, struct stack_info *info) {
  assert(spin_holding(&kstack_window.lock));
  uint64 hi = stack->lo + KSTACK_SIZE, sp = owner_sp(stack);
  const struct hart *running = NULL;
  for (uint32 i = 0; i < hart_count; i++)
    if (runs_on(&harts[i], stack))
      running = &harts[i];
  const struct hart *hart = running || !stack->thread_hart ? running : *stack->thread_hart;
  *info = (struct stack_info){.lo = stack->lo, .hi = hi, .pid = stack->pid, .kind = stack->kind};
  string_copy(info->name, stack->name, sizeof(info->name));
  info->account = load_relaxed(&stack->account_id);
  info->pages = (int)pages(stack);
  info->running = !!running;
  info->hart = hart ? (int)hart->index : -1;
  info->sp = running ? 0 : sp;
  info->depth = sp ? hi - sp : 0;
  tlb_catch_up(stack->generation);
  assert(this_hart()->fence_generation >= stack->generation);
  info->peak = kstack_peak(stack);
}

bool kstack_info(uint64 i, struct stack_info *info) {
  assert(i < kstack_slots());
  const struct kstack *stack = &kstacks[i];
  irq_t irq = spin_lock(&kstack_window.lock);
  bool owned = load_acquire(&stack->kind) != 0;
  if (owned)
    fill_info(stack, info);
  spin_unlock(&kstack_window.lock, irq);
  return owned;
}
