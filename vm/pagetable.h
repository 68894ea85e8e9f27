// SPDX-License-Identifier: MIT
//
// Sv39 page tables.  RISC-V privileged 4.3 and 4.4.
//
// I1. The kernel half's root entries are filled at boot and never change; every page table has the
//     same.
// I2. Kernel leaves have G, A and D set, user leaves U, A and, when writable, D.
// I3. No leaf of the kernel half is both writable and executable.  A user leaf is both only in a
//     segment that asks for it.  No leaf has W without R.
#pragma once

#include "kern/lib/types.h"
#include "vm/layout.h"

typedef uint64 pte_t;

#define PTE_V    (1UL << 0)
#define PTE_R    (1UL << 1)
#define PTE_W    (1UL << 2)
#define PTE_X    (1UL << 3)
#define PTE_U    (1UL << 4)
#define PTE_G    (1UL << 5)
#define PTE_A    (1UL << 6)
#define PTE_D    (1UL << 7)
#define PTE_COW  (1UL << 8)  // RSW: private and writable, the frame may be shared
#define PTE_LEAF (PTE_R | PTE_W | PTE_X)

#define LEVEL_BITS 9  // of an address, for each level of tables
#define LEVEL_ROOT 2
#define LEVEL_MEGA 1

#define PT_ENTRIES      512
#define PT_KERNEL_FIRST 256  // first root entry of the kernel half

struct pagetable {
  pte_t pte[PT_ENTRIES];
};

// What a mapping allows.  A table in pagetable.c turns it into PTE bits.
enum prot {
  PROT_KERNEL_R,   // G A D R
  PROT_KERNEL_RW,  // for kernel stacks, too (Linux: PAGE_KERNEL)
  PROT_KERNEL_RX,
  PROT_USER_R,
  PROT_USER_RW,
  PROT_USER_RX,
  PROT_USER_RWX,
  PROT_USER_X,
  PROT_USER_NONE,  // for pages without a leaf; prot_bits does not know it
};

extern struct pagetable *kernel_pagetable;  // [I] the kernel's own root, user half empty

static inline pa_t pte_to_pa(pte_t pte) {
  return (pte >> 10 & 0xfffffffffffUL) << PAGE_SHIFT;
}

static inline pte_t pa_to_pte(pa_t pa) {
  return pa >> PAGE_SHIFT << 10;
}

// Return the PTE bits of prot, V included.
pte_t prot_bits(enum prot prot);

// Build kernel_pagetable with the image, the direct map and the device window, and leave the early
// table.  Once, on the boot hart.
void pagetable_init(void);

// Link a table of 512 level-0 entries, from boot_alloc, into kernel_pagetable for the 2 MiB at va.
// Boot only, before any user page table exists.
void pagetable_link(vaddr_t va, const pte_t *table);

// Map size bytes of RAM at pa for the kernel, for reading and writing; nothing is mapped there.
// Boot only, before any user page table exists.
void pagetable_map_boot(vaddr_t va, pa_t pa, uint64 size);

// Note which root entries every page table gets from the kernel.  Boot only, once all are filled.
void pagetable_share(void);

// Make a page table with an empty user half and the kernel's kernel half.  Returns NULL on no
// memory.
struct pagetable *pagetable_create(void);

// Free the root of a user page table whose user half is empty.  No hart has it in satp.
void pagetable_destroy(struct pagetable *pt);

// Call visit for every user page table, interrupts off.  None is freed meanwhile.
void pagetable_each(void (*visit)(const struct pagetable *pt));

// Return the level-0 entry for va, or NULL when a table on the way is missing or va lies in a large
// leaf.
pte_t *pagetable_lookup(struct pagetable *pt, vaddr_t va);

// The same, but make missing tables.  Returns NULL on no memory, too.
pte_t *pagetable_ensure(struct pagetable *pt, vaddr_t va);

// Return the kernel's leaf that translates va, or 0.  Reads only: safe in a fault handler.
pte_t pagetable_leaf(vaddr_t va);

// Return the value of satp for pt with ASID 0.
uint64 pagetable_satp(const struct pagetable *pt);

// Map size bytes of device registers at pa, and return the kernel's pointer to them.  Boot only;
// panics when the device window is full.
volatile void *device_map(pa_t pa, uint64 size);
