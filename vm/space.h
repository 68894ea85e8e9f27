// SPDX-License-Identifier: MIT
//
// User address spaces: segments, a stack, a heap; copy-on-write fork; lazy memory.
//
// I1. A space is run by one thread, and changed only by it (or before it first runs).
// I2. Memory is promised before a program sees it: a private writable page that n spaces share has
//     n - 1 pages promised (vm/page.h).  Lazy heap memory is the one exception.  With the boot
//     argument overcommit no shared page has any promised, and the first process shares none.
// I3. A page table is freed only when no hart has it in satp.
#pragma once

#include "kern/lib/types.h"
#include "vm/pagetable.h"

// What a program does at an address, by the bit that a leaf must have for it.
enum access { ACCESS_READ = PTE_R, ACCESS_WRITE = PTE_W, ACCESS_EXEC = PTE_X };

// All: [o] the thread that runs the space
struct space {
  struct pagetable *pt;
  uint64 satp;
  uint64 pages;     // leaves
  uint64 writable;  // leaves that are private and writable
  uint64 promised;  // pages promised for what is being mapped
  uva_t top;        // nothing user was ever mapped from here on
  uva_t heap;       // where the break began
  uva_t brk;        // the break
};

// Read the boot argument overcommit.  Boot only.
void space_init(void);

// Make an empty space.  NULL on no memory.
struct space *space_create(void);

// Free the pages and page tables of the space, and leave it to the caller to kfree it.  No hart has
// it in satp.  May be called again, also after a fault within itself.
void space_destroy(struct space *s);

// Make the empty space child a copy of the running thread's.  Both then share its pages, the
// private writable ones copy-on-write; but the one of the user's sp, which both write next, is
// copied at once.  With overcommit it is shared, too, and first says that it is the first process,
// all of whose private writable pages are copied.  Fences this hart.  Returns 0, or -ENOMEM with a
// part in child.
int space_fork(struct space *child, uva_t sp, bool first);

// Add a segment of size bytes at va (page-aligned, below USER_END, overlapping nothing), zeroed.
// Returns 0, -EINVAL or -ENOMEM.
int space_add(struct space *s, uva_t va, uint64 size, enum prot prot);

// Return the kernel's pointer to the byte at va of a mapped page of s, whatever its protection, or
// NULL.  For a loader that fills a space before it runs.  Valid up to the end of that page.
void *space_pointer(struct space *s, uva_t va);

// Put the guard page and the one-page stack above the highest segment, the break above that.
// Returns 0 or -ENOMEM or -EINVAL; *top gets one past the stack's highest byte.
int space_add_stack(struct space *s, uva_t *top);

// Move the break by delta bytes; by none if it would come below address 0, since programs rely on
// that.  Lazy growth only reserves addresses.  *old gets the break before.  Returns 0, or with
// nothing changed -ENOMEM, or -EINVAL for a break below where it began or beyond USER_END.
int space_sbrk(struct space *s, int64 delta, bool lazy, uva_t *old);

// Resolve a fault of the running space at va: copy-on-write, lazy memory, a stale translation.
// Returns 0 (try again), -EFAULT (not allowed) or -ENOMEM.  May fence this hart.  Does not sleep.
int space_fault(struct space *s, uva_t va, enum access access);

// Return how many pages the space has mapped.
uint64 space_pages(const struct space *s);
