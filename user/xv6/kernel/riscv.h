// SPDX-License-Identifier: MIT
//
// What a program in user mode may know of the machine: pages of Sv39, and registers that it can
// read.  RISC-V privileged 4.4.
#pragma once

#include "types.h"

typedef uint64 pte_t;
typedef uint64 *pagetable_t;

#define PGSIZE            4096
#define PGSHIFT           12
#define PGROUNDUP(n)      (((n) + PGSIZE - 1) & ~((uint64)PGSIZE - 1))
#define PGROUNDDOWN(a)    ((a) & ~((uint64)PGSIZE - 1))
#define SUPERPGSIZE       (512 * PGSIZE)
#define SUPERPGROUNDUP(n) (((n) + SUPERPGSIZE - 1) & ~((uint64)SUPERPGSIZE - 1))
#define MAXVA             (1L << 38)

#define PTE_V (1L << 0)
#define PTE_R (1L << 1)
#define PTE_W (1L << 2)
#define PTE_X (1L << 3)
#define PTE_U (1L << 4)
#define PTE_A (1L << 6)
#define PTE_D (1L << 7)

#define PTE2PA(pte)    ((pte) >> 10 << 12)
#define PA2PTE(pa)     ((uint64)(pa) >> 12 << 10)
#define PTE_FLAGS(pte) ((pte)&0x3FF)

static inline uint64 r_sp(void) {
  uint64 x;
  asm volatile("mv %0, sp" : "=r"(x));
  return x;
}

static inline uint64 r_tp(void) {
  uint64 x;
  asm volatile("mv %0, tp" : "=r"(x));
  return x;
}

static inline uint64 r_ra(void) {
  uint64 x;
  asm volatile("mv %0, ra" : "=r"(x));
  return x;
}

static inline uint64 r_time(void) {
  uint64 x;
  asm volatile("rdtime %0" : "=r"(x));
  return x;
}
