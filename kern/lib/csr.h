// SPDX-License-Identifier: MIT
//
// Control and status registers of S-mode.  RISC-V privileged 4.1 (CSRs), 4.2 (fences), and the
// Sstc extension (stimecmp).  Assembly reads the constants; C also gets the accessors.
#pragma once

#define SSTATUS_SIE      (1 << 1)   // interrupts on
#define SSTATUS_SPIE     (1 << 5)   // interrupts were on before the trap
#define SSTATUS_SPP      (1 << 8)   // trap came from S-mode
#define SSTATUS_VS       (3 << 9)   // vector state
#define SSTATUS_FS       (3 << 13)  // floating-point state: 0 off, 1 initial, 2 clean, 3 dirty
#define SSTATUS_FS_CLEAN (2 << 13)
#define SSTATUS_FS_DIRTY (3 << 13)
#define SSTATUS_SUM      (1 << 18)  // S-mode may access user pages
#define SSTATUS_MXR      (1 << 19)  // loads may read what is only executable

#define SIE_SSIE (1 << 1)
#define SIE_STIE (1 << 5)
#define SIE_SEIE (1 << 9)

#define SATP_SV39 (8UL << 60)

#define CAUSE_USER_ECALL 8  // among those of enum scause

#define CSR_STIMECMP 0x14d

#ifndef __ASSEMBLER__

#include "kern/lib/types.h"

// scause.  RISC-V privileged, table 4.2.
#define SCAUSE_INTERRUPT (1UL << 63)
enum scause {
  CAUSE_FETCH_MISALIGNED = 0,
  CAUSE_FETCH_ACCESS = 1,
  CAUSE_ILLEGAL = 2,
  CAUSE_BREAKPOINT = 3,
  CAUSE_LOAD_MISALIGNED = 4,
  CAUSE_LOAD_ACCESS = 5,
  CAUSE_STORE_MISALIGNED = 6,
  CAUSE_STORE_ACCESS = 7,
  CAUSE_FETCH_PAGE = 12,
  CAUSE_LOAD_PAGE = 13,
  CAUSE_STORE_PAGE = 15,
};
enum interrupt {
  IRQ_SOFTWARE = 1,
  IRQ_TIMER = 5,
  IRQ_EXTERNAL = 9,
};

// Interrupt state, a value that a lock returns and its unlock takes back.
typedef uint64 irq_t;

#if __riscv

#define csr_read(csr)                                                                              \
  ({                                                                                               \
    uint64 csr_value_;                                                                             \
    asm volatile("csrr %0, " #csr : "=r"(csr_value_) : : "memory");                                \
    csr_value_;                                                                                    \
  })
#define csr_write(csr, value) asm volatile("csrw " #csr ", %0" : : "rK"(value) : "memory")
#define csr_set(csr, bits)    asm volatile("csrs " #csr ", %0" : : "rK"(bits) : "memory")
#define csr_clear(csr, bits)  asm volatile("csrc " #csr ", %0" : : "rK"(bits) : "memory")

// Turn interrupts off on this hart.  Returns the state to hand to irq_restore.
static inline irq_t irq_save(void) {
  irq_t irq;
  asm volatile("csrrci %0, sstatus, %1" : "=r"(irq) : "i"(SSTATUS_SIE) : "memory");
  return irq & SSTATUS_SIE;
}

static inline void irq_restore(irq_t irq) {
  csr_set(sstatus, irq);
}

static inline bool irq_enabled(void) {
  return csr_read(sstatus) & SSTATUS_SIE;
}

static inline void irq_on(void) {
  csr_set(sstatus, SSTATUS_SIE);
}

static inline void irq_off(void) {
  csr_clear(sstatus, SSTATUS_SIE);
}

// Sleep until an interrupt is pending, or less long.  With interrupts off it stays pending.
static inline void wait_for_interrupt(void) {
  asm volatile("wfi" : : : "memory");
}

// Make this hart fetch the instructions that were stored.  RISC-V unprivileged 3 (Zifencei).
static inline void fence_instructions(void) {
  asm volatile("fence.i" : : : "memory");
}

#endif
#endif
