// SPDX-License-Identifier: MIT
//
// The stack window on the host: harts that cache as much as the specification lets them, what is
// not mapped included, RAM for its pages, and what vm/vmalloc.c asks of the machine.  Included
// after vm_host.h and before the sources under test.
#pragma once

#include "test/host/vm_host.h"
#include "vm/pagetable.h"
#include "vm/ram.h"

#define PAGES (1UL << 14)

struct entry {
  uint64 epoch;  // cached if it is the hart's
  pte_t pte;
};
static struct entry cache[HART_MAX][PAGES];
static uint64 epoch[HART_MAX];
static uint64 frame_epoch[HART_MAX][RAM_SIZE / PAGE_SIZE];  // in which the hart last cached it

static char *ram_pages[4096];
static uint32 ram_page_count, frames_out;

static void tlb_fence_all(void);

// Page p of the window, as the hart's cache has it or else the page table.
static pte_t look_at(uint32 hart, const pte_t *ptes, uint64 p) {
  struct entry *e = &cache[hart][p];
  pte_t pte = ptes[p];
  if (e->epoch == epoch[hart])
    return e->pte;
  *e = (struct entry){epoch[hart], pte & PTE_V ? pte : 0};
  if (pte & PTE_V)
    frame_epoch[hart][(pte_to_pa(pte) - RAM_BASE) >> PAGE_SHIFT] = epoch[hart];
  return e->pte;
}

// No hart that is online has a translation to the frame at p, which is given back.
static void frame_back(void *p) {
  for (uint32 h = 0; h < hart_count; h++)
    CHECK(!harts[h].online || frame_epoch[h][(ptr_to_pa(p) - RAM_BASE) >> PAGE_SHIFT] != epoch[h]);
  ram_pages[ram_page_count++] = p;
  frames_out--;
}

uint64 ram_size(void) {
  return RAM_SIZE;
}

pa_t boot_alloc(uint64 size) {
  void *p = NULL;
  CHECK(posix_memalign(&p, PAGE_SIZE, size) == 0);
  memset(p, 0, size);
  return ptr_to_pa(p);
}

void pagetable_link(vaddr_t va, const pte_t *table) {
  (void)va, (void)table;
}

pte_t prot_bits(enum prot prot) {
  CHECK(prot == PROT_KERNEL_RW);
  return PTE_V | PTE_R | PTE_W | PTE_G | PTE_A | PTE_D;
}
