// SPDX-License-Identifier: MIT
//
// Sv39 page tables, and the one that the kernel boots on.
//
// The kernel half is built once: the image part by part, RAM in the largest leaves that fit, and
// the tables of the windows (vm/vmalloc.c).  The kernel reaches tables through the direct map.
// I4. W^X for every alias: the direct map shows text and rodata read-only, and nothing executable.
// I5. Firmware and reserved memory are not mapped.
// I6. A new table's zeros are visible before the entry that links it.
// I7. Who frees a root takes its mark away, then looks for visitors; a visitor says that it is
//     there, then looks for marks.  With a full fence between the two steps on both sides, no root
//     is freed while it is visited.  A list of roots would be written to by every fork.
#include "vm/pagetable.h"

#include "kern/lib/atomic.h"
#include "kern/lib/csr.h"
#include "kern/lib/hart.h"
#include "kern/lib/panic.h"
#include "vm/buddy.h"
#include "vm/image.h"
#include "vm/page.h"
#include "vm/tlb.h"

#define KERNEL_BITS (PTE_V | PTE_G | PTE_A | PTE_D)
#define USER_BITS   (PTE_V | PTE_U | PTE_A)

struct pagetable *kernel_pagetable;

static uint32 visitors;  // [a] harts in pagetable_each

static uint16 kernel_roots[PT_ENTRIES - PT_KERNEL_FIRST];  // [I] root entries that are not empty
static uint32 kernel_root_count;                           // [I]

static const pte_t prot_table[] = {
    [PROT_KERNEL_R] = KERNEL_BITS | PTE_R,
    [PROT_KERNEL_RW] = KERNEL_BITS | PTE_R | PTE_W,
    [PROT_KERNEL_RX] = KERNEL_BITS | PTE_R | PTE_X,
    [PROT_USER_R] = USER_BITS | PTE_R,
    [PROT_USER_RW] = USER_BITS | PTE_R | PTE_W | PTE_D,
    [PROT_USER_RX] = USER_BITS | PTE_R | PTE_X,
    [PROT_USER_RWX] = USER_BITS | PTE_R | PTE_W | PTE_X | PTE_D,
    [PROT_USER_X] = USER_BITS | PTE_X,
};

pte_t prot_bits(enum prot prot) {
  assert(prot < ARRAY_SIZE(prot_table));
  return prot_table[prot];
}

static uint64 level_size(int level) {
  return 1UL << (PAGE_SHIFT + LEVEL_BITS * level);
}

static uint64 va_index(vaddr_t va, int level) {
  return va >> (PAGE_SHIFT + LEVEL_BITS * level) & (PT_ENTRIES - 1);
}

// Return the entry of va at level, making missing tables with alloc (none if it is null).
// Returns NULL when a table is missing or a large leaf is in the way.
static pte_t *walk(struct pagetable *pt, vaddr_t va, int level, void *(*alloc)(void)) {
  for (int l = LEVEL_ROOT; l > level; l--) {
    pte_t *pte = &pt->pte[va_index(va, l)];
    if (!(*pte & PTE_V)) {
      void *table = alloc ? alloc() : NULL;
      if (!table)
        return NULL;
      store_release(pte, pa_to_pte(ptr_to_pa(table)) | PTE_V);
    } else if (*pte & PTE_LEAF) {
      return NULL;
    }
    pt = pa_to_ptr(pte_to_pa(*pte));
  }
  return &pt->pte[va_index(va, level)];
}

pte_t *pagetable_lookup(struct pagetable *pt, vaddr_t va) {
  return walk(pt, va, 0, NULL);
}

pte_t *pagetable_ensure(struct pagetable *pt, vaddr_t va) {
  return walk(pt, va, 0, page_alloc_zeroed);
}

pte_t pagetable_leaf(vaddr_t va) {
  const struct pagetable *pt = kernel_pagetable;
  if (va >= USER_END && va < DIRECT_BASE)  // not canonical
    return 0;
  for (int l = LEVEL_ROOT; l >= 0; l--) {
    pte_t pte = load_relaxed(&pt->pte[va_index(va, l)]);
    if (!(pte & PTE_V))
      return 0;
    if (pte & PTE_LEAF)
      return pte;
    pt = pa_to_ptr(pte_to_pa(pte));
  }
  return 0;
}

uint64 pagetable_satp(const struct pagetable *pt) {
  return SATP_SV39 | ptr_to_pa(pt) >> PAGE_SHIFT;
}

struct pagetable *pagetable_create(void) {
  struct pagetable *pt = page_alloc_zeroed();
  if (!pt)
    return NULL;
  for (uint32 i = 0; i < kernel_root_count; i++)
    pt->pte[kernel_roots[i]] = kernel_pagetable->pte[kernel_roots[i]];
  store_release(&page_of(pt)->state, PAGE_ROOT);
  return pt;
}

void pagetable_destroy(struct pagetable *pt) {
  for (uint32 i = 0; i < hart_count; i++)
    assert(load_relaxed(&harts[i].satp) != pagetable_satp(pt));
  store_relaxed(&page_of(pt)->state, PAGE_USED);
  fence_all();  // I7
  while (load_acquire(&visitors) > 0)
    panic_poll();
  for (uint32 i = 0; i < kernel_root_count; i++)
    pt->pte[kernel_roots[i]] = 0;
  page_put_zeroed(pt);
}

void pagetable_each(void (*visit)(const struct pagetable *pt)) {
  irq_t irq = irq_save();  // no thread of this hart waits for the visitor
  fetch_add(&visitors, 1);
  fence_all();  // I7
  for (struct page *p = frames.page; p < frames.page + frames.count; p++)
    if (load_acquire(&p->state) == PAGE_ROOT)
      visit(page_ptr(p));
  fetch_sub(&visitors, 1);
  irq_restore(irq);
}

static void *boot_table(void) {
  return pa_to_ptr(boot_alloc(PAGE_SIZE));
}

// Return the highest level whose leaf fits size bytes at va and pa.
static int fitting_level(vaddr_t va, pa_t pa, uint64 size) {
  int level = LEVEL_ROOT;
  while (level > 0 && (((va | pa) & (level_size(level) - 1)) || size < level_size(level)))
    level--;
  return level;
}

// Map size bytes at pa, in the largest leaves that fit.  Nothing is mapped there.
static void map_range(vaddr_t va, pa_t pa, uint64 size, enum prot prot, void *(*alloc)(void)) {
  assert(((va | pa | size) & (PAGE_SIZE - 1)) == 0);
  while (size > 0) {
    int level = fitting_level(va, pa, size);
    pte_t *pte = walk(kernel_pagetable, va, level, alloc);
    if (!pte || *pte)
      panic("cannot map 0x%lx at 0x%lx", pa, va);
    *pte = pa_to_pte(pa) | prot_bits(prot);
    va += level_size(level);
    pa += level_size(level);
    size -= level_size(level);
  }
}

static void map_image(char *begin, char *end, enum prot prot) {
  map_range((vaddr_t)begin, image_to_pa(begin), end - begin, prot, boot_table);
}

// Map memory into the direct map.
static void map_direct(pa_t pa, uint64 size, enum prot prot) {
  if (pa + size > DIRECT_END - DIRECT_BASE)
    panic("RAM at 0x%lx is beyond the direct map", pa + size);
  map_range(DIRECT_BASE + pa, pa, size, prot, boot_table);
}

void pagetable_init(void) {
  kernel_pagetable = boot_table();
  map_image(_start, text_end, PROT_KERNEL_RX);
  map_image(rodata_start, rodata_end, PROT_KERNEL_R);
  map_image(data_start, boot_stack_guard, PROT_KERNEL_RW);
  map_image(boot_stack_guard + PAGE_SIZE, image_end, PROT_KERNEL_RW);
  map_direct(image_to_pa(_start), data_start - _start, PROT_KERNEL_R);  // I4
  map_direct(image_to_pa(data_start), image_end - data_start, PROT_KERNEL_RW);
  for (const struct ram_run *r = ram_runs; r < ram_runs + ram_run_count; r++)  // I5
    map_direct(r->base, r->end - r->base, PROT_KERNEL_RW);
  walk(kernel_pagetable, DEVICE_BASE, LEVEL_MEGA, boot_table);
  tlb_switch(pagetable_satp(kernel_pagetable));
  tlb_fence_all();
}

void pagetable_share(void) {
  for (uint32 i = PT_KERNEL_FIRST; i < PT_ENTRIES; i++)
    if (kernel_pagetable->pte[i])
      kernel_roots[kernel_root_count++] = i;
}

void pagetable_link(vaddr_t va, const pte_t *table) {
  pte_t *pte = walk(kernel_pagetable, va, LEVEL_MEGA, boot_table);
  assert(pte && !*pte);
  *pte = pa_to_pte(ptr_to_pa(table)) | PTE_V;
}

void pagetable_map_boot(vaddr_t va, pa_t pa, uint64 size) {
  map_range(va, pa, size, PROT_KERNEL_RW, boot_table);
}

volatile void *device_map(pa_t pa, uint64 size) {
  static vaddr_t next = DEVICE_BASE;
  pa_t first = ROUND_DOWN(pa, PAGE_SIZE);
  size = ROUND_UP(pa + size, PAGE_SIZE) - first;
  vaddr_t va = next;
  if (size >= level_size(LEVEL_MEGA))  // same offset in a megapage, so that large leaves fit
    va = ROUND_UP(va, level_size(LEVEL_MEGA)) + (first & (level_size(LEVEL_MEGA) - 1));
  if (va + size > DEVICE_END)
    panic("no room to map the device at 0x%lx, %lu bytes", pa, size);
  map_range(va, first, size, PROT_KERNEL_RW, page_alloc_zeroed);
  tlb_mapped();
  next = va + size + PAGE_SIZE;
  return (volatile void *)(va + (pa - first));
}
