// SPDX-License-Identifier: MIT
//
// Small objects.
//
// A slab is one page cut into objects of one power-of-two size; struct page is its header, and a
// free object's first word links to the next free one.
// I1. A slab is on its size's list if and only if it has a free object.
// I2. A slab without an object in use goes back to page.c at once, so memory comes back exactly,
//     and there is nothing to drain.
// I3. With KASAN=y there are no slabs: each object has pages of its own.  Freed objects are kept a
//     while, and in slabs they would take places, so that objects in use would need more pages.
// Locks: one for each size.  None is held while a page is allocated, since that may free objects.
#include "vm/kmalloc.h"

#include "kern/lib/atomic.h"
#include "kern/lib/panic.h"
#include "kern/lib/spinlock.h"
#include "kern/lib/string.h"
#include "vm/kasan_shadow.h"
#include "vm/page.h"

#define OBJECT_MIN  32
#define OBJECT_MAX  2048
#define CLASS_COUNT 7

// [c] the lock
struct class {
  struct spinlock lock;
  struct list slabs;  // [c] with a free object
} __attribute__((aligned(64)));

#define CLASS(i)                                                                                   \
  { SPINLOCK_INIT("kmalloc"), LIST_INIT(classes[i].slabs) }
static struct class classes[CLASS_COUNT] = {CLASS(0), CLASS(1), CLASS(2), CLASS(3),
                                            CLASS(4), CLASS(5), CLASS(6)};

// Make a page into a slab and put it on its list.  Holds: c->lock.
static void slab_add(struct class *c, void *page) {
  assert(spin_holding(&c->lock));
  struct page *slab = page_of(page);
  uint64 size = (uint64)OBJECT_MIN << (c - classes);
  void *next = NULL;
  for (uint64 at = PAGE_SIZE; at > 0; at -= size) {
    void **object = (void **)((char *)page + at - size);
    *object = next;
    next = object;
  }
  store_relaxed(&slab->state, PAGE_SLAB);
  slab->class = c - classes;
  slab->count = 0;
  slab->private = next;
  list_push_front(&c->slabs, &slab->node);
}

static void *block_alloc(size_t size, const void *pc) {
  uint32 order = 0;
  while ((size_t)PAGE_SIZE << order < size)
    order++;
  void *block = page_alloc_order(order);
  kasan_object_alloc(block, (uint64)PAGE_SIZE << order, size, pc);
  return block;
}

void *kmalloc(size_t size) {
  if (KASAN || size > OBJECT_MAX)
    return block_alloc(size, __builtin_return_address(0));
  if (page_must_fail())
    return NULL;
  struct class *c = classes;
  for (size_t room = OBJECT_MIN; room < size; room *= 2)
    c++;
  irq_t irq = spin_lock(&c->lock);
  if (list_empty(&c->slabs)) {
    spin_unlock(&c->lock, irq);
    void *page = page_alloc();
    if (!page)
      return NULL;
    irq = spin_lock(&c->lock);
    slab_add(c, page);
  }
  struct page *slab = list_entry(c->slabs.next, struct page, node);
  void **object = slab->private;
  slab->private = *object;
  slab->count++;
  if (!slab->private)
    list_remove(&slab->node);
  spin_unlock(&c->lock, irq);
  return object;
}

void *kzalloc(size_t size) {
  void *p = kmalloc(size);
  kasan_alloc_site(p, __builtin_return_address(0));
  if (p)
    memset(p, 0, size);
  return p;
}

void kfree(void *p) {
  p = kasan_free(p, __builtin_return_address(0));
  if (!p)
    return;
  struct page *slab = page_of(p);
  if (slab->state != PAGE_SLAB) {
    page_put(p);
    return;
  }
  struct class *c = &classes[slab->class];
  asm("" : "+r"(c));  // else the compiler works this out again for each field
  irq_t irq = spin_lock(&c->lock);
  if ((uint64)p % (OBJECT_MIN << slab->class) != 0 || p == slab->private || slab->count == 0)
    panic("kfree: %p is not an object in use", p);
  if (!slab->private)
    list_push_front(&c->slabs, &slab->node);
  *(void **)p = slab->private;
  slab->private = p;
  bool empty = --slab->count == 0;
  if (empty)
    list_remove(&slab->node);
  spin_unlock(&c->lock, irq);
  if (empty)
    page_put(p);
}
