// SPDX-License-Identifier: MIT
//
// Sv39 page tables.  RISC-V privileged 4.3 and 4.4.
//
// I1. The kernel half's root entries are filled at boot and never change; every page table has the
// same. I2. Kernel leaves have G, A and D set, user leaves U, A and (when writable) D. I3. No leaf
// is writable and executable, W without R never occurs.  (A user segment that asks for
//     both W and X gets both; nothing in the kernel half does.)
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

#define PT_ENTRIES      512
#define PT_KERNEL_FIRST 256  // first root entry of the kernel half

struct pagetable {
  pte_t pte[PT_ENTRIES];
};

// What a mapping allows; pagetable.c's table turns it into PTE bits.
enum prot {
  PROT_KERNEL_R,   // G A D R
  PROT_KERNEL_RW,  // what a kernel stack gets (Linux: PAGE_KERNEL)
  PROT_KERNEL_RX,
  PROT_USER_R,
  PROT_USER_RW,
  PROT_USER_RX,
  PROT_USER_RWX,
  PROT_USER_X,
  PROT_USER_NONE,  // mapped by nothing: no leaf may have it
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

// Build kernel_pagetable: image, direct map, windows' tables; leaves the early table.  Once, on the
// boot hart.
void pagetable_init(void);

// Hang a table of 512 level-0 entries, taken by boot_alloc, below kernel_pagetable for the 2 MiB at
// va.  Boot only, before any user page table exists.
void pagetable_link(vaddr_t va, const pte_t *table);

// Map size bytes of RAM at pa for the kernel, for reading and writing; nothing is mapped there.
// Boot only, before any user page table exists.
void pagetable_map_boot(vaddr_t va, pa_t pa, uint64 size);

// Make a page table whose kernel half is the kernel's.  Returns NULL on no memory.
struct pagetable *pagetable_create(void);

// Free an empty user page table's root.  No hart has it in satp.
void pagetable_destroy(struct pagetable *pt);

// Call visit for every user page table there is, with their list locked.
void pagetable_each(void (*visit)(const struct pagetable *pt));

// Return the level-0 entry for va or NULL when a table on the way is missing or va lies in a large
// leaf.
pte_t *pagetable_lookup(struct pagetable *pt, vaddr_t va);

// Likewise, creating tables as needed.  Returns NULL on no memory.
pte_t *pagetable_ensure(struct pagetable *pt, vaddr_t va);

// Return the leaf that translates va at any level, or 0; *level gets its level.  Reads only; safe
// in a fault handler.
pte_t pagetable_leaf(const struct pagetable *pt, vaddr_t va, int *level);

// Return the value of satp for pt with ASID 0.
uint64 pagetable_satp(const struct pagetable *pt);

// Map size bytes of device registers at pa.  Returns the kernel pointer.  Boot only; panics on no
// room.
volatile void *device_map(pa_t pa, uint64 size);
