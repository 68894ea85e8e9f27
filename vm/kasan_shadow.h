// SPDX-License-Identifier: MIT
//
// The shadow of kernel memory (KASAN=y; docs/kasan.md): what allocators tell it.  Without KASAN all
// of this is nothing.  Implemented by: vm/kasan_shadow.c, vm/kasan_report.c.
//
// I1. A shadow byte says what may be accessed of 8 bytes: 0: all; 1-7: only that many; any other
//     value: none, and the value says why.
// I2. Each granule of a live area has a page of shadow of its own, mapped, fenced and retired with
//     it; all other granules of the arenas share one poisoned page that is read-only.
// I3. Where there is no shadow anything may be accessed, as far as the page table lets it.
#pragma once

#include "kern/lib/types.h"

struct kstack;
struct page;
struct trap_frame;
struct vm_area;
struct vmalloc_arena;

// Why memory may not be accessed.
enum kasan_poison {
  KASAN_STACK_LEFT = 0xf1,  // the compiler's: below, between and above the variables of a frame
  KASAN_STACK_MIDDLE,
  KASAN_STACK_RIGHT,
  KASAN_GLOBAL = 0xf9,     // behind a global variable
  KASAN_AREA,              // of no area, or a guard of one
  KASAN_OBJECT_FREED,      // object freed
  KASAN_OBJECT_END,        // behind an object
  KASAN_STACK_FREED,       // stack that rests in a cache
  KASAN_PAGE_FREED = 0xff  // page free
};

#if KASAN

// What is known of an object, block, area or stack: return addresses in the functions that
// allocated and freed it last, or 0, and how many bytes were asked for.  And fields of
// vm/vmalloc.h.
#define KASAN_NOTE           struct kasan_note note;
#define KASAN_GRANULE_SHADOW void *shadow;
#define KASAN_ARENA_SHADOW   uint64 *shadow_ptes;
struct kasan_note {
  uint64 alloc, free, size;
};

// Map the shadow of RAM and the image, and poison what follows each global.  Boot hart, before
// checked code runs.
void kasan_init(void);

// Map the shadow of an arena of size bytes, nothing of it live.
void kasan_init_arena(struct vmalloc_arena *arena, uint64 size);

void kasan_poison(const void *p, uint64 size, enum kasan_poison poison);
void kasan_unpoison(const void *p, uint64 size);

// The life of an area: its shadow pages allocated (returns false on no memory), mapped, replaced
// by the shared page, and freed.  The middle two hold the arena's lock.
bool kasan_area_fill(struct vm_area *area);
void kasan_area_publish(struct vm_area *area);
void kasan_area_retire(struct vm_area *area);
void kasan_area_release(struct vm_area *area);

// Return whether granule i has the shadow that it must have if in a live area, or not (I2).
bool kasan_shadow_fits(const struct vmalloc_arena *arena, uint32 i, bool live);

// alloc: make the first size bytes accessible; pc asked for them.  free: called once, before the
// area is unmapped.
void kasan_area_alloc(struct vm_area *area, uint64 size, const void *pc);
void kasan_area_free(struct vm_area *area, const void *pc);

// Make the stack accessible, or poison it; pc is the caller.
void kasan_stack_alloc(struct kstack *stack, const void *pc);
void kasan_stack_free(struct kstack *stack, const void *pc);

// The same for a block of pages, and for an object of kmalloc, which may be null, of size bytes in
// a block of room bytes.
void kasan_page_alloc(struct page *p, const void *pc);
void kasan_page_free(struct page *p, const void *pc);
void kasan_object_alloc(void *object, uint64 room, uint64 size, const void *pc);

// Report that p is freed, but is not in use or was never allocated.
void kasan_bad_free(const void *p, const void *pc);

// Change where an object is said to have been allocated.
void kasan_alloc_site(void *object, const void *pc);

// Poison an object that is about to be freed, and keep it a while.  Returns what is to be freed
// now in its place, or NULL: one that was kept long enough, or one of several pages, which is not.
void *kasan_free(void *object, const void *pc);

// Free all that is kept.  The caller holds no lock of this room.
void kasan_drain(void);

// Go on after a fault that says that some address has no shadow.  Returns whether it was one.
bool kasan_fault(struct trap_frame *frame);

// Check a range; kern/lib/kasan.h has the contract.  Returns the first byte that may not be
// accessed, or addr + size.
uint64 kasan_first_bad(uint64 addr, uint64 size);

// Say what was done and what is known of addr, then panic, unless the boot arguments say to go on.
// class: null, or what it was if not a bad access.  Any context.
void kasan_report(uint64 addr, uint64 size, bool write, uint64 pc, const char *class);

// A global variable, as the compiler describes it.
struct kasan_global {
  uint64 base, size, size_with_redzone;
  const char *name, *file;
  uint64 unused[3];
};

// Return the variable that addr is in or behind, or NULL.
const struct kasan_global *kasan_find_global(uint64 addr);

#else

#define KASAN_NOTE
#define KASAN_GRANULE_SHADOW
#define KASAN_ARENA_SHADOW

static inline void kasan_init(void) {
}
static inline void kasan_init_arena(struct vmalloc_arena *arena, uint64 size) {
  (void)arena, (void)size;
}
static inline void kasan_poison(const void *p, uint64 size, enum kasan_poison poison) {
  (void)p, (void)size, (void)poison;
}
static inline void kasan_unpoison(const void *p, uint64 size) {
  (void)p, (void)size;
}
static inline bool kasan_area_fill(struct vm_area *area) {
  (void)area;
  return true;
}
static inline void kasan_area_publish(struct vm_area *area) {
  (void)area;
}
static inline void kasan_area_retire(struct vm_area *area) {
  (void)area;
}
static inline void kasan_area_release(struct vm_area *area) {
  (void)area;
}
static inline bool kasan_shadow_fits(const struct vmalloc_arena *arena, uint32 i, bool live) {
  (void)arena, (void)i, (void)live;
  return true;
}
static inline void kasan_area_alloc(struct vm_area *area, uint64 size, const void *pc) {
  (void)area, (void)size, (void)pc;
}
static inline void kasan_area_free(struct vm_area *area, const void *pc) {
  (void)area, (void)pc;
}
static inline void kasan_stack_alloc(struct kstack *stack, const void *pc) {
  (void)stack, (void)pc;
}
static inline void kasan_stack_free(struct kstack *stack, const void *pc) {
  (void)stack, (void)pc;
}
static inline void kasan_page_alloc(struct page *p, const void *pc) {
  (void)p, (void)pc;
}
static inline void kasan_page_free(struct page *p, const void *pc) {
  (void)p, (void)pc;
}
static inline void kasan_object_alloc(void *object, uint64 room, uint64 size, const void *pc) {
  (void)object, (void)room, (void)size, (void)pc;
}
static inline void kasan_bad_free(const void *p, const void *pc) {
  (void)p, (void)pc;
}
static inline void kasan_alloc_site(void *object, const void *pc) {
  (void)object, (void)pc;
}
static inline void *kasan_free(void *object, const void *pc) {
  (void)pc;
  return object;
}
static inline bool kasan_fault(struct trap_frame *frame) {
  (void)frame;
  return false;
}

#endif
