// SPDX-License-Identifier: MIT
//
// The shadow: where it lies, what it says, and when it changes.
//
// RAM has its shadow from boot on.  The image has no other: its shadow is that of the frames it
// lies in.  The arenas get pages of shadow as their areas come and go (kasan_shadow.h, I2).
// A1. Only code that the compiler does not check runs before kasan_init.  This file is never
//     checked.
// Locks: kept_lock, under which no other lock is taken.
#include "vm/kasan_shadow.h"

#include "kern/lib/kasan.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "kern/lib/spinlock.h"
#include "kern/lib/trapframe.h"
#include "vm/buddy.h"
#include "vm/image.h"
#include "vm/kstack.h"
#include "vm/page.h"
#include "vm/pagetable.h"
#include "vm/tlb.h"
#include "vm/vmalloc.h"

#define GRANULE     8                           // bytes that a shadow byte stands for
#define WORD_BYTES  (GRANULE * sizeof(uint64))  // and a word of shadow
#define SHADOW_SPAN ((uint64)PAGE_SIZE * GRANULE)
#define TABLE_SPAN  ((uint64)PT_ENTRIES * PAGE_SIZE)
#define KEPT_MAX    64   // objects kept from being used again
#define GLOBALS_MAX 128  // files that have globals

_Static_assert(SHADOW_SPAN == KSTACK_SLOT, "a slot has a page of shadow");
_Static_assert(SHADOW_OFFSET + (DIRECT_BASE >> SHADOW_SHIFT) == SHADOW_BASE, "layout.h");

// What the compiler's code calls; the checks themselves are in kasan_checks.S.
void __asan_register_globals(const struct kasan_global *first, uint64 count);
void __asan_unregister_globals(const struct kasan_global *first, uint64 count);
void __asan_handle_no_return(void);

// Implemented by: vm/kasan_checks.S.
uint64 kasan_shadow_word(uint64 addr);
void kasan_bad_access(uint64 addr, uint64 size, uint64 write, uint64 pc);
extern char kasan_checks[], kasan_checks_end[], kasan_no_shadow[];

extern void (*const constructors_start[])(void), (*const constructors_end[])(void);

static bool kasan_ready;   // [I]
static pte_t shared_leaf;  // [I] the leaf of granules that are in no live area

static struct {
  const struct kasan_global *first;
  uint64 count;
} globals[GLOBALS_MAX];  // [I]
static uint32 globals_count;

static struct spinlock kept_lock = SPINLOCK_INIT("kasan");
static void *kept[KEPT_MAX];  // [kept_lock]
static uint32 kept_next;      // [kept_lock] the oldest

static int8 *shadow_of(uint64 addr) {
  return (int8 *)((addr >> SHADOW_SHIFT) + SHADOW_OFFSET);
}

static void shadow_fill(void *p, uint64 size, uint8 value) {
  uint8 *byte = p;
  for (; size > 0 && ((uint64)byte % sizeof(uint64) || size < sizeof(uint64)); size--)
    *byte++ = value;
  uint64 *word = (uint64 *)(void *)byte;
#pragma GCC unroll 8
  for (; size >= sizeof(uint64); size -= sizeof(uint64))
    *word++ = value * 0x0101010101010101UL;
  for (byte = (uint8 *)word; size > 0; size--)
    *byte++ = value;
}

void kasan_poison(const void *p, uint64 size, enum kasan_poison poison) {
  shadow_fill(shadow_of((uint64)p), size / GRANULE, poison);
}

void kasan_unpoison(const void *p, uint64 size) {
  int8 *shadow = shadow_of((uint64)p);
  shadow_fill(shadow, size / GRANULE, 0);
  if (size % GRANULE)
    shadow[size / GRANULE] = size % GRANULE;
}

// --- boot ----------------------------------------------------------------------------------------

// Map the shadow of a range of RAM.  What of the image lies in it shares that.
static void map_ram_shadow(const struct pa_range *ram) {
  pa_t base = ROUND_DOWN(ram->base, SHADOW_SPAN);
  uint64 size = (ROUND_UP(ram->base + ram->size, SHADOW_SPAN) - base) / GRANULE;
  pa_t shadow = boot_alloc(size);
  pagetable_map_boot((vaddr_t)shadow_of(DIRECT_BASE + base), shadow, size);
  if (IMAGE_PA >= base && IMAGE_PA < ram->base + ram->size)
    pagetable_map_boot((vaddr_t)shadow_of(IMAGE_BASE), shadow + (IMAGE_PA - base) / GRANULE,
                       ROUND_UP((uint64)(image_end - _start), SHADOW_SPAN) / GRANULE);
}

void kasan_init(void) {
  for (uint32 i = 0; i < machine.ram_count; i++)
    map_ram_shadow(&machine.ram[i]);
  pa_t page = boot_alloc(PAGE_SIZE);
  shadow_fill(pa_to_ptr(page), PAGE_SIZE, KASAN_AREA);
  shared_leaf = pa_to_pte(page) | prot_bits(PROT_KERNEL_R);
  tlb_mapped();
  page_add_reclaimer(kasan_drain);
  kasan_ready = true;
  for (void (*const *f)(void) = constructors_start; f < constructors_end; f++)
    (*f)();
}

void kasan_init_arena(struct vmalloc_arena *arena, uint64 size) {
  uint64 pages = ROUND_UP(size / GRANULE, TABLE_SPAN) / PAGE_SIZE;
  arena->shadow_ptes = pa_to_ptr(boot_alloc(pages * sizeof(pte_t)));
  for (uint64 i = 0; i < pages; i++)
    arena->shadow_ptes[i] = shared_leaf;
  for (uint64 i = 0; i < pages; i += PT_ENTRIES)
    pagetable_link((vaddr_t)shadow_of(arena->base) + i * PAGE_SIZE, &arena->shadow_ptes[i]);
}

void __asan_register_globals(const struct kasan_global *first, uint64 count) {
  assert(globals_count < GLOBALS_MAX);
  globals[globals_count].first = first;
  globals[globals_count++].count = count;
  for (uint64 i = 0; i < count; i++) {
    kasan_poison((void *)first[i].base, first[i].size_with_redzone, KASAN_GLOBAL);
    kasan_unpoison((void *)first[i].base, first[i].size);
  }
}

void __asan_unregister_globals(const struct kasan_global *first, uint64 count) {
  (void)first, (void)count;
}

const struct kasan_global *kasan_find_global(uint64 addr) {
  for (uint32 i = 0; i < globals_count; i++)
    for (uint64 n = 0; n < globals[i].count; n++)
      if (addr - globals[i].first[n].base < globals[i].first[n].size_with_redzone)
        return &globals[i].first[n];
  return NULL;
}

// --- areas ---------------------------------------------------------------------------------------

bool kasan_area_fill(struct vm_area *area) {
  struct vmalloc_arena *arena = area->arena;
  for (uint32 i = area->first; i < area->first + area->granules; i++) {
    arena->areas[i].shadow = page_alloc();
    if (!arena->areas[i].shadow)
      return false;
    shadow_fill(arena->areas[i].shadow, PAGE_SIZE, KASAN_AREA);
  }
  return true;
}

static pte_t shadow_leaf(const struct vm_area *granule) {
  return pa_to_pte(ptr_to_pa(granule->shadow)) | prot_bits(PROT_KERNEL_RW);
}

bool kasan_shadow_fits(const struct vmalloc_arena *arena, uint32 i, bool live) {
  const pte_t *pte = &arena->shadow_ptes[i];
  vaddr_t va = arena->base + ((uint64)i << arena->shift);
  return *pte == (live ? shadow_leaf(&arena->areas[i]) : shared_leaf) &&
         pagetable_lookup(kernel_pagetable, (vaddr_t)shadow_of(va)) == pte;
}

void kasan_area_publish(struct vm_area *area) {
  struct vmalloc_arena *arena = area->arena;
  assert(spin_holding(&arena->lock));
  for (uint32 i = area->first; i < area->first + area->granules; i++)
    arena->shadow_ptes[i] = shadow_leaf(&arena->areas[i]);
}

// Until all harts have fenced, they may still look at the area's own shadow.
void kasan_area_retire(struct vm_area *area) {
  struct vmalloc_arena *arena = area->arena;
  assert(spin_holding(&arena->lock));
  for (uint32 i = area->first; i < area->first + area->granules; i++) {
    shadow_fill(arena->areas[i].shadow, PAGE_SIZE, KASAN_AREA);
    arena->shadow_ptes[i] = shared_leaf;
  }
}

void kasan_area_release(struct vm_area *area) {
  struct vmalloc_arena *arena = area->arena;
  for (uint32 i = area->first; i < area->first + area->granules; i++) {
    if (arena->areas[i].shadow)
      page_put(arena->areas[i].shadow);
    arena->areas[i].shadow = NULL;
  }
}

void kasan_area_alloc(struct vm_area *area, uint64 size, const void *pc) {
  area->note = (struct kasan_note){(uint64)pc, 0, size};
  kasan_unpoison((void *)area->base, size);
}

void kasan_area_free(struct vm_area *area, const void *pc) {
  if (area->state != AREA_LIVE)
    kasan_bad_free((void *)area->base, pc);
  area->note.free = (uint64)pc;
}

void kasan_stack_alloc(struct kstack *stack, const void *pc) {
  stack->note = (struct kasan_note){(uint64)pc, 0, KSTACK_SIZE};
  kasan_unpoison((void *)stack->lo, KSTACK_SIZE);
}

void kasan_stack_free(struct kstack *stack, const void *pc) {
  if (kasan_first_bad(stack->lo, 1) == stack->lo)
    kasan_bad_free((void *)stack->lo, pc);
  stack->note.free = (uint64)pc;
  kasan_poison((void *)stack->lo, KSTACK_SIZE, KASAN_STACK_FREED);
}

// The frames above the caller's will not be returned to, and so not clean up after themselves.
void __asan_handle_no_return(void) {
  uint64 sp = (uint64)__builtin_frame_address(0);
  if (sp >= KSTACK_BASE && sp < KSTACK_END)
    kasan_unpoison((void *)(ROUND_DOWN(sp, KSTACK_SLOT) + KSTACK_GUARD), KSTACK_SIZE);
}

// --- pages and objects ---------------------------------------------------------------------------

void kasan_page_alloc(struct page *p, const void *pc) {
  p->note = (struct kasan_note){(uint64)pc, 0, (uint64)PAGE_SIZE << p->order};
  kasan_unpoison(page_ptr(p), (uint64)PAGE_SIZE << p->order);
}

void kasan_page_free(struct page *p, const void *pc) {
  if (!p->note.free)  // kfree knows better
    p->note.free = (uint64)pc;
  kasan_poison(page_ptr(p), (uint64)PAGE_SIZE << p->order, KASAN_PAGE_FREED);
}

void kasan_object_alloc(void *object, uint64 room, uint64 size, const void *pc) {
  if (!object)
    return;
  kasan_poison(object, room, KASAN_OBJECT_END);
  kasan_unpoison(object, size);
  page_of(object)->note = (struct kasan_note){(uint64)pc, 0, size};
}

void kasan_alloc_site(void *object, const void *pc) {
  if (object)
    page_of(object)->note.alloc = (uint64)pc;
}

// Put an object among those kept, in place of the oldest, which is returned.
static void *keep(void *object) {
  irq_t irq = spin_lock(&kept_lock);
  void *oldest = kept[kept_next];
  kept[kept_next] = object;
  kept_next = (kept_next + 1) % KEPT_MAX;
  spin_unlock(&kept_lock, irq);
  return oldest;
}

void kasan_bad_free(const void *p, const void *pc) {
  kasan_report((uint64)p, 0, true, (uint64)pc, "invalid-free");
}

// Return whether p is the first byte of a block in use.
static bool is_object(const void *p) {
  uint64 index = ptr_to_pa(p) / PAGE_SIZE - frames.first;
  return (uint64)p >= DIRECT_BASE && (uint64)p < DIRECT_END && (uint64)p % PAGE_SIZE == 0 &&
         index < frames.count && frames.page[index].state == PAGE_USED &&
         kasan_first_bad((uint64)p, 1) != (uint64)p;
}

void *kasan_free(void *object, const void *pc) {
  if (!object)
    return NULL;
  if (!is_object(object)) {
    kasan_bad_free(object, pc);
    return NULL;
  }
  struct page *p = page_of(object);
  p->note.free = (uint64)pc;
  if (p->order > 0)
    return object;
  kasan_poison(object, PAGE_SIZE, KASAN_OBJECT_FREED);
  return keep(object);
}

void kasan_drain(void) {
  for (uint32 i = 0; i < KEPT_MAX; i++) {
    void *object = keep(NULL);
    if (object)
      page_put(object);
  }
}

// --- checks --------------------------------------------------------------------------------------

uint64 kasan_first_bad(uint64 addr, uint64 size) {
  uint64 at = addr, end = addr + size;
  if (end < addr)
    return addr;
  while (at < end) {
    uint64 word = kasan_shadow_word(at);
    int8 shadow = word >> (at / GRANULE % sizeof(word) * 8);
    if (word == 0)
      at = ROUND_DOWN(at, WORD_BYTES) + WORD_BYTES;
    else if (shadow == 0)
      at = ROUND_DOWN(at, GRANULE) + GRANULE;
    else if ((int64)(at % GRANULE) < shadow)
      at = ROUND_DOWN(at, GRANULE) + shadow;
    else
      return at;
  }
  return end;
}

// A guard reports by itself what reaches it.
static bool in_stack_guard(uint64 addr) {
  return addr >= KSTACK_BASE && addr < KSTACK_END && addr % KSTACK_SLOT < KSTACK_GUARD;
}

// What looked bad is bad, unless this hart has not fenced since the shadow was mapped.
void kasan_bad_access(uint64 addr, uint64 size, uint64 write, uint64 pc) {
  irq_t irq = irq_save();  // the hart that fences is the one that looks again
  tlb_refresh();
  uint64 bad = kasan_first_bad(addr, size);
  irq_restore(irq);
  if (bad != addr + size && !in_stack_guard(bad))
    kasan_report(addr, size, write, pc, NULL);
}

void kasan_check_range(const void *p, uint64 size, bool write, const void *pc) {
  if (kasan_ready && kasan_first_bad((uint64)p, size) != (uint64)p + size)
    kasan_bad_access((uint64)p, size, write, (uint64)pc);
}

bool kasan_fault(struct trap_frame *frame) {
  if (frame->sepc < (uint64)kasan_checks || frame->sepc >= (uint64)kasan_checks_end)
    return false;
  frame->sepc = (uint64)kasan_no_shadow;
  return true;
}
