// SPDX-License-Identifier: MIT
//
// vm/space.c against a model of each process's memory: fork, copy-on-write, eager and lazy growth,
// running out of memory; one thread with a checked promise count, then several at once; and all of
// it again with overcommit.
#include "test/host/vm_host.h"

static uint64 fences;  // of everything

static __thread struct space *current_space;

static struct space *space_current(void) {
  return current_space;
}
static inline void fence_instructions(void) {
}
static inline void tlb_fence_user(void) {
  __atomic_fetch_add(&fences, 1, __ATOMIC_RELAXED);
}
static inline void tlb_fence_user_page(uva_t va) {
  (void)va;
}

// What space_init asks for is overcommit.
bool bootarg_flag(const char *name) {
  return name;
}

#include "kern/lib/atomic.h"
#include "vm/buddy.c"
#include "vm/kmalloc.c"
#include "vm/page.c"
#include "vm/ram.c"
#include "vm/space.c"

static void discard(struct space *s) {
  space_destroy(s);
  kfree(s);
}

// A page table on the host: as vm/pagetable.c has it, without a kernel half.

static pte_t *walk(struct pagetable *pt, vaddr_t va, void *(*alloc)(void)) {
  for (int shift = 30; shift > 12; shift -= 9) {
    pte_t *pte = &pt->pte[va >> shift & 511];
    if (!*pte) {
      struct pagetable *table = alloc ? alloc() : NULL;
      if (!table)
        return NULL;
      for (uint32 i = 0; i < PT_ENTRIES; i++)
        CHECK(table->pte[i] == 0);
      *pte = pa_to_pte(ptr_to_pa(table)) | PTE_V;
    }
    pt = pa_to_ptr(pte_to_pa(*pte));
  }
  return &pt->pte[va >> 12 & 511];
}

pte_t *pagetable_lookup(struct pagetable *pt, vaddr_t va) {
  return walk(pt, va, NULL);
}

pte_t *pagetable_ensure(struct pagetable *pt, vaddr_t va) {
  return walk(pt, va, page_alloc_zeroed);
}

struct pagetable *pagetable_create(void) {
  return page_alloc_zeroed();
}

void pagetable_destroy(struct pagetable *pt) {
  for (uint32 i = 0; i < PT_ENTRIES; i++)
    CHECK(pt->pte[i] == 0);
  page_put(pt);
}

uint64 pagetable_satp(const struct pagetable *pt) {
  return (uint64)pt;
}

pte_t prot_bits(enum prot prot) {
  static const pte_t bits[] = {
      [PROT_USER_R] = PTE_R,
      [PROT_USER_RW] = PTE_R | PTE_W | PTE_D,
      [PROT_USER_RX] = PTE_R | PTE_X,
      [PROT_USER_RWX] = PTE_R | PTE_W | PTE_X | PTE_D,
  };
  return bits[prot] | PTE_V | PTE_U | PTE_A;
}

// A process: a space and what its memory must hold.  The first pages are text, the rest starts at 0
// and is data, a guard, the stack, the heap.

#define TEXT_PAGES 2
#define DATA_PAGES 3
#define HEAP       ((TEXT_PAGES + DATA_PAGES + 2UL) * PAGE_SIZE)
#define HEAP_MAX   (40UL * PAGE_SIZE)
#define PROCESSES  12

struct process {
  struct space *s;
  uint64 brk;
  unsigned char mem[HEAP + HEAP_MAX];
};

// Do what hardware and trap handler do for one access; returns the byte's address or NULL.
static unsigned char *touch(struct space *s, uva_t va, enum access access) {
  for (int tries = 0; tries < 2; tries++) {
    pte_t *pte = va < USER_END ? pagetable_lookup(s->pt, va) : NULL;
    if (pte && *pte & PTE_V && *pte & access) {
      CHECK(access != ACCESS_WRITE || page_refs(pte_page(*pte)) == 1);
      return (unsigned char *)pte_page(*pte) + va % PAGE_SIZE;
    }
    if (space_fault(s, va, access) != 0)
      return NULL;
  }
  CHECK(!"a resolved fault repeats");
  return NULL;
}

static void process_make(struct process *p) {
  uva_t top;
  memset(p->mem, 0, sizeof(p->mem));
  p->s = space_create();
  CHECK(p->s);
  CHECK(space_add(p->s, 0, TEXT_PAGES * PAGE_SIZE - 100, PROT_USER_RX) == 0);
  CHECK(space_add(p->s, PAGE_SIZE, 1, PROT_USER_R) == -EINVAL);
  CHECK(space_add(p->s, 1, 1, PROT_USER_R) == -EINVAL);
  CHECK(space_add(p->s, USER_END - PAGE_SIZE, PAGE_SIZE + 1, PROT_USER_R) == -EINVAL);
  CHECK(space_add(p->s, ~0UL - PAGE_SIZE + 1, PAGE_SIZE, PROT_USER_R) == -EINVAL);
  CHECK(space_add(p->s, TEXT_PAGES * PAGE_SIZE, DATA_PAGES * PAGE_SIZE, PROT_USER_RWX) == 0);
  for (uva_t va = 0; va < TEXT_PAGES * PAGE_SIZE; va += 64) {
    p->mem[va] = va / 64;
    *(char *)space_pointer(p->s, va) = va / 64;
  }
  CHECK(space_add_stack(p->s, &top) == 0 && top == HEAP);
  CHECK(!space_pointer(p->s, top) && !space_pointer(p->s, top - PAGE_SIZE - 1));
  CHECK(!touch(p->s, top - PAGE_SIZE - 1, ACCESS_READ) && !touch(p->s, 0, ACCESS_WRITE));
  CHECK(!touch(p->s, top, ACCESS_READ) && !touch(p->s, top - 1, ACCESS_EXEC));
  CHECK(touch(p->s, 0, ACCESS_EXEC) && !touch(p->s, USER_END, ACCESS_READ));
  p->brk = HEAP;
}

static bool mapped_by_rule(const struct process *p, uva_t va) {
  bool guard = va / PAGE_SIZE == TEXT_PAGES + DATA_PAGES;
  return !guard && va < ROUND_UP(p->brk, PAGE_SIZE);
}

// Read or write one byte; memory may be short only for lazy pages and, with overcommit, for shared
// ones of all but the first process.
static void process_access(struct process *p, bool first) {
  uva_t va = random_below(ROUND_UP(p->brk, PAGE_SIZE) + PAGE_SIZE);
  bool write = random_below(2) && va >= TEXT_PAGES * PAGE_SIZE;
  bool resident = space_pointer(p->s, va);
  unsigned char *byte = touch(p->s, va, write ? ACCESS_WRITE : ACCESS_READ);
  if (!mapped_by_rule(p, va))
    CHECK(!byte);
  else if (resident)
    CHECK(byte || (overcommit && write && !first));
  if (!byte || va >= p->brk)
    return;
  CHECK(*byte == p->mem[va]);
  if (write)
    *byte = p->mem[va] = random_below(255) + 1;
}

static void process_grow(struct process *p) {
  int64 delta = (int64)random_below(6 * PAGE_SIZE) - 3 * PAGE_SIZE;
  if (random_below(3) == 0)
    delta = ROUND_DOWN(delta, PAGE_SIZE);
  bool lazy = random_below(2);
  uva_t old = 1, to = p->brk + delta;
  if ((int64)to >= (int64)HEAP && to > HEAP + HEAP_MAX)
    return;
  uint64 pages = space_pages(p->s);
  int err = space_sbrk(p->s, delta, lazy, &old);
  if (err) {
    CHECK(err == (to < HEAP ? -EINVAL : -ENOMEM) && space_pages(p->s) == pages && old == 1);
    return;
  }
  CHECK(old == p->brk && to >= HEAP);
  p->brk = to;
  for (uva_t va = old; !lazy && va < to; va += PAGE_SIZE)
    CHECK(space_pointer(p->s, va));
  if (to < old) {
    CHECK(!space_pointer(p->s, ROUND_UP(to, PAGE_SIZE)));
    memset(p->mem + to, 0, sizeof(p->mem) - to);
  }
}

static void process_check(struct process *p) {
  for (uva_t va = 0; va < p->brk; va++) {
    unsigned char *byte = space_pointer(p->s, va);
    CHECK(byte ? *byte == p->mem[va] : p->mem[va] == 0 || !mapped_by_rule(p, va));
  }
}

static struct space *fork_space(struct space *s, bool first) {
  struct space *child = space_create();
  current_space = s;
  if (!child || space_fork(child, random_below(HEAP), first) == 0)
    return child;
  discard(child);
  return NULL;
}

static bool process_fork(struct process *p, struct process *child, bool first) {
  memcpy(child, p, sizeof(*p));
  child->s = fork_space(p->s, first);
  return child->s;
}

// I2 of space.h, counted: a shared frame with n references in leaves that are private has n - 1, or
// none with overcommit.
static void check_promises(struct process *all) {
  uint64 leaves = 0, expected = 0;
  for (uint32 i = 0; i < PROCESSES; i++) {
    for (uva_t va = 0; all[i].s && va < HEAP + HEAP_MAX; va += PAGE_SIZE) {
      pte_t *pte = pagetable_lookup(all[i].s->pt, va);
      if (!pte || !(*pte & PTE_V))
        continue;
      leaves++;
      CHECK(!(*pte & PTE_W) || page_refs(pte_page(*pte)) == 1);
      if (pte_private(*pte)) {
        // Each of n sharers counts (n - 1) / n; in units of 1/27720, whole for n up to 12.
        uint32 n = page_refs(pte_page(*pte));
        expected += overcommit ? 0 : 27720 / n * (n - 1);
        CHECK(!overcommit || i > 0 || n == 1);
      }
    }
  }
  uint64 pages = 0;
  for (uint32 i = 0; i < PROCESSES; i++)
    pages += all[i].s ? space_pages(all[i].s) : 0;
  CHECK(pages == leaves && expected == promised * 27720);
}

static void test_model(uint64 memory) {
  static struct process all[PROCESSES];
  static void *hoard[8192];
  uint64 before = page_available(), hoarded = 0;
  process_make(&all[0]);
  while (page_available() > memory)
    hoard[hoarded++] = page_alloc();
  for (uint32 i = 0; i < 60000; i++) {
    struct process *p = &all[random_below(PROCESSES)], *other = &all[random_below(PROCESSES)];
    if (!p->s)
      continue;
    uint64 what = random_below(100);
    if (what < 80)
      process_access(p, p == all);
    else if (what < 90)
      process_grow(p);
    else if (what < 95 && !other->s)
      process_fork(p, other, p == all);
    else if (what == 99 && other->s && p != other && p != all) {
      process_check(p);
      discard(p->s);
      p->s = NULL;
    }
    if (i % 64 == 0)
      check_promises(all);
  }
  for (uint32 i = 0; i < PROCESSES; i++) {
    if (!all[i].s)
      continue;
    process_check(&all[i]);
    discard(all[i].s);
    all[i].s = NULL;
  }
  while (hoarded > 0)
    page_put(hoard[--hoarded]);
  CHECK(page_available() == before && promised == 0);
}

// Lazy memory is address space only; the ends of the user half hold.
static void test_lazy(void) {
  static struct process p;
  uint64 before = page_available();
  uva_t old;
  process_make(&p);
  CHECK(space_sbrk(p.s, 1L << 30, true, &old) == 0 && old == HEAP);
  for (uva_t va = HEAP; va < HEAP + (1UL << 30); va += 50UL << 20)
    CHECK(touch(p.s, va, ACCESS_WRITE));
  CHECK(space_sbrk(p.s, 1L << 40, true, &old) == -EINVAL);
  CHECK(space_sbrk(p.s, 64L << 20, false, &old) == -ENOMEM);
  CHECK(space_sbrk(p.s, -(1L << 30) - 1, false, &old) == -EINVAL);
  CHECK(space_sbrk(p.s, -(1L << 30) - HEAP, false, &old) == -EINVAL);
  CHECK(space_sbrk(p.s, -(1L << 30) - HEAP - 1, false, &old) == 0 && old == HEAP + (1L << 30));
  CHECK(space_sbrk(p.s, USER_END - HEAP - (1UL << 30), true, &old) == 0);
  CHECK(touch(p.s, USER_END - 1, ACCESS_WRITE) && !touch(p.s, USER_END, ACCESS_WRITE));
  CHECK(space_sbrk(p.s, 1, true, &old) == -EINVAL && space_sbrk(p.s, 0, false, &old) == 0);
  CHECK(old == USER_END);
  struct space *child = fork_space(p.s, false);
  CHECK(child && space_pages(child) == space_pages(p.s));
  discard(child);
  CHECK(space_sbrk(p.s, -(int64)(USER_END - HEAP), false, &old) == 0);
  discard(p.s);
  CHECK(page_available() == before);
}

// Growth into a new table, with memory for the pages but not for the table: nothing changes.  And
// fork, with memory for ever more.
static void test_no_table(bool first) {
  static struct process p;
  static void *hoard[8192];
  uint64 before = page_available(), hoarded = 0;
  uva_t old;
  process_make(&p);
  CHECK(space_sbrk(p.s, TABLE_SPAN - HEAP - 2 * PAGE_SIZE, true, &old) == 0);
  while (page_available() > 6)
    hoard[hoarded++] = page_alloc();
  uint64 fenced = fences;
  CHECK(space_sbrk(p.s, 6 * PAGE_SIZE, false, &old) == -ENOMEM);
  CHECK(fences > fenced);  // two pages were mapped, for a moment
  CHECK(page_available() == 6 && promised == 0 && space_pages(p.s) == 6);
  CHECK(space_sbrk(p.s, 5 * PAGE_SIZE, false, &old) == 0 && old == TABLE_SPAN - 2 * PAGE_SIZE);
  struct space *child;
  for (uint64 left = 0; !(child = fork_space(p.s, first)); left++) {
    CHECK(page_available() == left && promised == 0);
    page_put(hoard[--hoarded]);
  }
  discard(child);
  while (hoarded > 0)
    page_put(hoard[--hoarded]);
  discard(p.s);
  CHECK(page_available() == before);
}

// Several harts share, write and drop the same frames.  Each leaves a child for another to go on
// with.
static struct space *mailbox;

static void *family(void *arg) {
  struct space *s = arg;
  this_index = __atomic_fetch_add(&hart_count, 1, __ATOMIC_RELAXED) % 8;
  for (uint32 i = 0; i < 4000; i++) {
    struct space *child = fork_space(s, false);
    if (!child)
      continue;
    child = atomic_swap(&mailbox, child);
    for (uva_t page = TEXT_PAGES; page < TEXT_PAGES + DATA_PAGES; page++) {
      unsigned char *byte = touch(s, page * PAGE_SIZE + this_index, ACCESS_WRITE);
      CHECK(byte && (!child || touch(child, page * PAGE_SIZE, ACCESS_WRITE)));
      (*byte)++;
    }
    if (child) {
      discard(s);
      s = child;
    }
  }
  discard(s);
  return NULL;
}

static void test_harts(void) {
  static struct process p;
  uint64 before = page_available();
  pthread_t thread[4];
  struct space *s[4];
  process_make(&p);
  yield_every = 3;
  for (uint32 i = 0; i < 4; i++)
    s[i] = i ? fork_space(p.s, false) : p.s;
  for (uint32 i = 0; i < 4; i++)
    CHECK(s[i] && pthread_create(&thread[i], NULL, family, s[i]) == 0);
  for (uint32 i = 0; i < 4; i++)
    pthread_join(thread[i], NULL);
  discard(atomic_swap(&mailbox, NULL));
  CHECK(page_available() == before && promised == 0);
}

int main(void) {
  machine_make();
  ram_init();
  page_init();
  test_lazy();
  test_no_table(false);
  test_model(2000);
  test_model(40);
  test_harts();
  space_init();
  test_no_table(false);
  test_no_table(true);
  test_model(2000);
  test_model(40);
  test_harts();
  return 0;
}
