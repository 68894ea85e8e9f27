// SPDX-License-Identifier: MIT
//
// Address-translation fences.  RISC-V privileged 4.2.1.
//
// I1. A hart may cache an invalid entry, so each hart fences before it relies on a new kernel
//     mapping: the mapper at once, others when they see a newer generation.
// I2. A frame or address that was mapped is not reused before every hart has fenced.
//
// this_hart() asserts that interrupts are off where a function here asks for that, except in
// tlb_switch, which every switch passes through.
#pragma once

#include "kern/lib/hart.h"
#include "kern/lib/types.h"

#if __riscv

// Return ASID 0 in a register that the compiler does not know to be zero: it would take x0, which
// means all ASIDs, and flush the G entries too.
static inline uint64 tlb_asid(void) {
  uint64 asid = 0;
  asm("" : "+r"(asid));
  return asid;
}

// Fence this hart for one user address, or for all of ASID 0 (kernel entries, G, stay).
static inline void tlb_fence_user_page(uva_t va) {
  asm volatile("sfence.vma %0, %1" : : "r"(va), "r"(tlb_asid()) : "memory");
}
static inline void tlb_fence_user(void) {
  asm volatile("sfence.vma x0, %0" : : "r"(tlb_asid()) : "memory");
}
// Fence this hart for everything.
static inline void tlb_fence_all(void) {
  asm volatile("sfence.vma" : : : "memory");
}

// Switch this hart to the page table whose satp value this is, and fence user entries.
// Does nothing when it is the current one.  Holds: interrupts off.
static inline void tlb_switch(uint64 satp) {
  struct hart *h = this_hart_unchecked();
  if (h->satp == satp)
    return;
  csr_write(satp, satp);
  h->satp = satp;
  tlb_fence_user();
}

#endif

// Count a change of kernel mappings, whose entries are stored, and fence this hart.  Returns the
// new generation.  Any context.
uint64 tlb_mapped(void);

// Fence this hart if it has not fenced since generation.  Holds: interrupts off.
void tlb_catch_up(uint64 generation);

// Fence this hart if it has not fenced since the last change of kernel mappings.  Returns whether
// that was so: then a fault may be due to what it had cached before.  Holds: interrupts off.
bool tlb_refresh(void);

// Mark this hart online and fence it: from here on tlb_fence_harts reaches it, and it has nothing
// older cached.  Once on each hart, on the final page table.  Holds: interrupts off.
void tlb_hart_online(void);

// Make every online hart fence for everything, and wait for it.  Firmware serves this in M-mode, so
// no hart's locks and interrupt state matter.  Any context; does not sleep.
void tlb_fence_harts(void);

// Return how many times tlb_fence_harts was called.
uint64 tlb_fence_count(void);
