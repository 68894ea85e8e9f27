// SPDX-License-Identifier: MIT
//
// User address spaces: the invariants are in space.h.
//
// Only the page table records what is mapped.  A leaf is private and writable when it has W or COW;
// a frame with COW may be shared, a frame with W is not.  Everything user lies below s->top, and
// walks go over level-0 tables from 0 to there, skipping missing ones.  A page missing below the
// break is lazy memory; pages of eager memory are never missing.
//
// A frame lock makes a frame's share count and its promised copies change together.  There are a
// few, and the frame's number says which.  A frame with one reference belongs to the space that
// holds it, and needs no lock.
#include "vm/space.h"

#include "kern/lib/csr.h"
#include "kern/lib/errno.h"
#include "kern/lib/kasan.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "kern/lib/spinlock.h"
#include "kern/lib/string.h"
#include "vm/kmalloc.h"
#include "vm/page.h"
#include "vm/tlb.h"

#define TABLE_SPAN  ((uint64)PAGE_SIZE * PT_ENTRIES)  // bytes that a level-0 table maps
#define ROOT_SPAN   (TABLE_SPAN * PT_ENTRIES)         // bytes that a root entry maps
#define FRAME_LOCKS 16
#define FRAME_RUN   32  // frames in a row, which are often one hart's (vm/page.c), have one lock

static bool overcommit;  // [I] fork promises nothing

static struct {
  struct spinlock lock;
} __attribute__((aligned(64))) frame_locks[] = {[0 ... FRAME_LOCKS - 1] = {SPINLOCK_INIT("frame")}};

static struct spinlock *frame_lock(pte_t pte) {
  return &frame_locks[pte_to_pa(pte) / (PAGE_SIZE * FRAME_RUN) % FRAME_LOCKS].lock;
}

static void *pte_page(pte_t pte) {
  return pa_to_ptr(pte_to_pa(pte));
}

// Return the leaf of a page that is the space's own, in place of a private one.
static pte_t own_leaf(pte_t pte, void *page) {
  return pa_to_pte(ptr_to_pa(page)) | (pte & (PTE_V | PTE_LEAF | PTE_U)) | PTE_W | PTE_A | PTE_D;
}

static bool pte_private(pte_t pte) {
  return pte & (PTE_W | PTE_COW);
}

// Enter the leaf at pte, where there was none.
KASAN_EXEMPT static void leaf_set(struct space *s, pte_t *pte, pte_t leaf) {
  *pte = leaf;
  s->pages++;
  s->writable += pte_private(leaf);
}

static uva_t min_va(uva_t a, uva_t b) {
  return a < b ? a : b;
}

// Advance *va to the next page below end whose level-0 table exists.  Returns its entry there, and
// in *stop where that table's part of the range ends; NULL when there is none.
static pte_t *table_next(struct pagetable *pt, uva_t *va, uva_t end, uva_t *stop) {
  while (*va < end) {
    pte_t root = pt->pte[*va / ROOT_SPAN];
    if (!(root & PTE_V)) {
      *va = ROUND_DOWN(*va, ROOT_SPAN) + ROOT_SPAN;
      continue;
    }
    struct pagetable *middle = pte_page(root);
    pte_t entry = middle->pte[*va / TABLE_SPAN % PT_ENTRIES];
    uva_t next = ROUND_DOWN(*va, TABLE_SPAN) + TABLE_SPAN;
    if (entry & PTE_V) {
      struct pagetable *table = pte_page(entry);
      *stop = min_va(next, end);
      return &table->pte[*va / PAGE_SIZE % PT_ENTRIES];
    }
    *va = next;
  }
  return NULL;
}

// Drop this space's reference to a leaf's page.  If others still share it, one promised page less
// is needed.
static void leaf_drop(pte_t pte) {
  void *page = pte_page(pte);
  if (!(pte & PTE_COW) || page_refs(page) == 1) {
    page_put(page);
    return;
  }
  struct spinlock *lock = frame_lock(pte);
  irq_t irq = spin_lock(lock);
  if (page_put(page) > 0 && !overcommit)
    page_unpromise(1);
  spin_unlock(lock, irq);
}

// Unmap what is mapped in [start, end).  The caller fences before returning to user mode.  Reusing
// a frame earlier is safe: this hart uses no user address until then, and no other hart runs this
// space.
KASAN_EXEMPT static void range_unmap(struct space *s, uva_t start, uva_t end) {
  uva_t stop;
  pte_t *pte;
  for (uva_t va = start; va < end && (pte = table_next(s->pt, &va, end, &stop)); va = stop) {
    for (pte_t *last = pte + (stop - va) / PAGE_SIZE; pte < last; pte++) {
      pte_t leaf = *pte;
      if (!(leaf & PTE_V))
        continue;
      *pte = 0;
      s->pages--;
      if (pte_private(leaf))
        s->writable--;
      leaf_drop(leaf);
    }
  }
}

// Free the tables, all of whose leaves are gone: they are all zeros, and go back as zeroed pages.
static void tables_free(struct space *s) {
  for (uva_t va = 0; va < s->top; va += ROOT_SPAN) {
    pte_t *root = &s->pt->pte[va / ROOT_SPAN];
    if (!(*root & PTE_V))
      continue;
    struct pagetable *middle = pte_page(*root);
    uint64 entries = (min_va(s->top - va, ROOT_SPAN) + TABLE_SPAN - 1) / TABLE_SPAN;
    for (pte_t *pte = middle->pte; pte < middle->pte + entries; pte++) {
      pte_t entry = *pte;
      *pte = 0;
      if (entry & PTE_V)
        page_put_zeroed(pte_page(entry));
    }
    *root = 0;
    page_put_zeroed(middle);
  }
}

// Promise pages for what is to be mapped.  Returns 0 or -ENOMEM.
static int promise_take(struct space *s, uint64 pages) {
  if (page_promise(pages) != 0)
    return -ENOMEM;
  s->promised = pages;
  return 0;
}

// Give back what is left of that.
static void promise_end(struct space *s) {
  uint64 left = s->promised;
  s->promised = 0;
  if (left)
    page_unpromise(left);
}

// Map zeroed pages at [start, end), where nothing is mapped.  Returns 0, or -ENOMEM with nothing
// mapped.
static int range_map(struct space *s, uva_t start, uva_t end, pte_t bits) {
  if (promise_take(s, (end - start) / PAGE_SIZE) < 0)
    return -ENOMEM;
  for (uva_t va = start; va < end;) {
    uva_t stop = min_va(end, ROUND_DOWN(va, TABLE_SPAN) + TABLE_SPAN);
    pte_t *pte = pagetable_ensure(s->pt, va);
    if (!pte) {
      promise_end(s);
      range_unmap(s, start, va);
      tlb_fence_user();
      return -ENOMEM;
    }
    for (; va < stop; va += PAGE_SIZE) {
      void *page = page_alloc_promised();
      s->promised--;
      page_zero(page);
      leaf_set(s, pte++, pa_to_pte(ptr_to_pa(page)) | bits);
    }
  }
  return 0;
}

void space_init(void) {
  overcommit = bootarg_flag("overcommit");
}

struct space *space_create(void) {
  struct space *s = kmalloc(sizeof(*s));
  struct pagetable *pt = s ? pagetable_create() : NULL;
  if (!pt) {
    kfree(s);
    return NULL;
  }
  *s = (struct space){.pt = pt, .satp = pagetable_satp(pt)};
  return s;
}

void space_destroy(struct space *s) {
  struct pagetable *pt = s->pt;
  promise_end(s);
  if (pt) {
    range_unmap(s, 0, s->top);
    assert(s->pages == 0 && s->writable == 0);
    tables_free(s);
    s->pt = NULL;
    pagetable_destroy(pt);
  }
}

// Share with child, or copy for it if they are private, the pages at count entries of a level-0
// table; to are the child's entries.  Number hot, if private, is copied in any case.
KASAN_EXEMPT static void table_share(struct space *child, pte_t *from, pte_t *to, uint64 count,
                                     bool copy, uint64 hot) {
  for (uint64 i = 0; i < count; i++, from++, to++) {
    pte_t pte = *from;
    if (!(pte & PTE_V))
      continue;
    if (pte_private(pte))
      child->promised -= child->promised > 0;  // first: what is taken is not given back as well
    if (pte_private(pte) && (copy || i == hot)) {
      void *page = page_alloc_promised();
      page_copy(page, pte_page(pte));
      pte = own_leaf(pte, page);
    } else {
      page_get(pte_page(pte));
      if (pte_private(pte))
        *from = pte = (pte & ~PTE_W) | PTE_COW;
    }
    leaf_set(child, to, pte);
  }
}

// Share every page of s with child, or copy the private ones, and make the child's tables.  The
// caller has promised a page for each private one, unless it promises nothing.  Returns 0, or
// -ENOMEM with a part shared.
static int space_share(struct space *s, struct space *child, bool copy, uva_t hot) {
  uva_t stop;
  pte_t *from;
  for (uva_t va = 0; va < s->top && (from = table_next(s->pt, &va, s->top, &stop)); va = stop) {
    pte_t *to = pagetable_ensure(child->pt, va);
    if (!to)
      return -ENOMEM;
    table_share(child, from, to, (stop - va) / PAGE_SIZE, copy, (hot - va) / PAGE_SIZE);
  }
  return 0;
}

int space_fork(struct space *child, uva_t sp, bool first) {
  struct space *s = space_current();
  child->top = s->top;
  child->heap = s->heap;
  child->brk = s->brk;
  bool promises = !overcommit || first;
  if (promises && promise_take(child, s->writable) < 0)
    return -ENOMEM;
  int err = space_share(s, child, overcommit && first, promises ? sp : ~0UL);
  tlb_fence_user();
  return err;
}

int space_add(struct space *s, uva_t va, uint64 size, enum prot prot) {
  if (va % PAGE_SIZE != 0 || va > USER_END || size > USER_END - va)
    return -EINVAL;
  uva_t end = ROUND_UP(va + size, PAGE_SIZE), at = va, stop;
  pte_t *pte;
  while (at < end && (pte = table_next(s->pt, &at, end, &stop))) {
    for (; at < stop; at += PAGE_SIZE, pte++) {
      if (*pte & PTE_V)
        return -EINVAL;
    }
  }
  if (end > s->top)
    s->top = end;
  return prot == PROT_USER_NONE ? 0 : range_map(s, va, end, prot_bits(prot));
}

void *space_pointer(struct space *s, uva_t va) {
  pte_t *pte = va < USER_END ? pagetable_lookup(s->pt, va) : NULL;
  return pte && *pte & PTE_V ? (char *)pte_page(*pte) + va % PAGE_SIZE : NULL;
}

int space_add_stack(struct space *s, uva_t *top) {
  uva_t stack = ROUND_UP(s->top, PAGE_SIZE) + PAGE_SIZE;
  int err = space_add(s, stack, PAGE_SIZE, PROT_USER_RW);
  if (err == 0)
    s->heap = s->brk = *top = stack + PAGE_SIZE;
  return err;
}

// Copy-on-write: give the space a page of its own at an entry with COW.  Returns 0, or -ENOMEM
// where none was promised.  Not inlined, so that it stays with what allocates.
static __attribute__((noinline)) int cow_break(pte_t *pte) {
  void *page = pte_page(*pte), *copy = NULL;
  if (overcommit && page_refs(page) > 1 && !(copy = page_alloc()))
    return -ENOMEM;
  struct spinlock *lock = frame_lock(*pte);
  irq_t irq = spin_lock(lock);
  if (page_refs(page) > 1) {
    if (!overcommit)
      copy = page_alloc_promised();
    page_copy(copy, page);
    *pte = own_leaf(*pte, copy);
    page_put(page);
  } else {
    *pte = own_leaf(*pte, page);
    if (copy)
      page_put(copy);
  }
  spin_unlock(lock, irq);
  if (*pte & PTE_X)
    fence_instructions();
  return 0;
}

// Give lazy memory its page at va.  Not inlined, likewise.
static __attribute__((noinline)) int lazy_fill(struct space *s, uva_t va) {
  pte_t *pte = pagetable_ensure(s->pt, va);
  void *page = pte ? page_alloc_zeroed() : NULL;
  if (!page)
    return -ENOMEM;
  leaf_set(s, pte, pa_to_pte(ptr_to_pa(page)) | prot_bits(PROT_USER_RW));
  return 0;
}

// Change what is at pte (null: its table is missing) so that access is allowed.
static int fault_resolve(struct space *s, pte_t *pte, uva_t va, enum access access) {
  if (pte && *pte & PTE_V)
    return access == ACCESS_WRITE && *pte & PTE_COW ? cow_break(pte) : -EFAULT;
  if (va < s->heap || va >= ROUND_UP(s->brk, PAGE_SIZE) || access == ACCESS_EXEC)
    return -EFAULT;
  return lazy_fill(s, va);
}

// Not with what allocates (kernel.ld): when it runs out of stack, nothing has been taken.
__attribute__((section(".text.fault"))) int space_fault(struct space *s, uva_t va,
                                                        enum access access) {
  if (va >= USER_END)
    return -EFAULT;
  pte_t *pte = pagetable_lookup(s->pt, va);
  bool stale = pte && *pte & PTE_V && *pte & access;
  int err = stale ? 0 : fault_resolve(s, pte, va, access);
  if (err != 0)
    return err;
  // A fence for one address orders its leaf only (privileged 4.2.1), and a table may be new.
  if (stale || !pte)
    tlb_fence_user();
  else
    tlb_fence_user_page(va);
  return 0;
}

// Map the pages that growth to brk makes eager: from the one that the old break lies in, if that is
// lazy and missing.
static int heap_grow(struct space *s, uva_t brk) {
  uva_t start = ROUND_DOWN(s->brk, PAGE_SIZE);
  if (s->brk % PAGE_SIZE != 0 && space_pointer(s, start))
    start += PAGE_SIZE;
  uva_t end = ROUND_UP(brk, PAGE_SIZE);
  return start < end ? range_map(s, start, end, prot_bits(PROT_USER_RW)) : 0;
}

// Clear what is above brk in its own page, so that memory is zero when the break comes back, and
// unmap the pages above.  Returns 0, or -ENOMEM with nothing changed.
static int heap_shrink(struct space *s, uva_t brk) {
  pte_t *pte = brk % PAGE_SIZE != 0 ? pagetable_lookup(s->pt, brk) : NULL;
  if (pte && *pte & PTE_V) {
    if (*pte & PTE_COW && cow_break(pte) != 0)
      return -ENOMEM;
    memset(space_pointer(s, brk), 0, PAGE_SIZE - brk % PAGE_SIZE);
  }
  range_unmap(s, ROUND_UP(brk, PAGE_SIZE), ROUND_UP(s->brk, PAGE_SIZE));
  tlb_fence_user();
  return 0;
}

int space_sbrk(struct space *s, int64 delta, bool lazy, uva_t *old) {
  if (delta < -(int64)s->brk)
    delta = 0;
  if (delta < 0 ? (uint64)-delta > s->brk - s->heap : (uint64)delta > USER_END - s->brk)
    return -EINVAL;
  uva_t brk = s->brk + delta;
  // This stays even if growing fails: there may be tables up to there by then.
  if (delta > 0 && ROUND_UP(brk, PAGE_SIZE) > s->top)
    s->top = ROUND_UP(brk, PAGE_SIZE);
  if (delta > 0 && !lazy && heap_grow(s, brk) != 0)
    return -ENOMEM;
  if (delta < 0 && heap_shrink(s, brk) != 0)
    return -ENOMEM;
  *old = s->brk;
  s->brk = brk;
  return 0;
}

uint64 space_pages(const struct space *s) {
  return s->pages;
}
