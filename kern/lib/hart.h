// SPDX-License-Identifier: MIT
//
// What the kernel knows about each hart.  tp points here while the hart runs in the kernel, and
// sscratch while it runs in user mode (trap/entry.S has the table).
//
// I1. The boot hart makes every hart's struct and stacks before it starts the others.
// I2. tp is written only in boot/start.S and trap/entry.S.
// I3. No pointer from this_hart() is kept across a point that can switch threads.
// I4. stack_lo, stack_floor and stack_hi change together, interrupts off: the record of the stack
//     this hart runs on, which the entry code trusts and nothing else decides.
#pragma once

#include "kern/lib/csr.h"
#include "kern/lib/limits.h"
#include "kern/lib/panic.h"
#include "kern/lib/types.h"
#include "vm/layout.h"

// Spare pages of a hart: for the reserve of a stack, and with KSTACK_GROW=y for stacks that grow.
#define KSTACK_POOL (KSTACK_GROW ? 8 : KSTACK_RESERVE / PAGE_SIZE)

struct runqueue;
struct space;
struct spinlock;
struct thread;

// [I] fixed after boot  [h] this hart only, interrupts off  [a] atomic
struct hart {
  uint64 stack_lo;          // [h] the record: lowest byte of the running stack
  uint64 stack_floor;       // [h] stack_lo plus the size of a trap frame
  uint64 stack_hi;          // [h] one past its highest byte
  uint64 emergency_lo;      // [I] bounds of this hart's emergency stack
  uint64 emergency_hi;      // [I]
  uint64 interrupt_lo;      // [h] bounds of this hart's interrupt stack
  uint64 interrupt_hi;      // [I]
  uint64 spill_t0;          // [h] kept by the entry code until sp is good: t0 as at the trap
  uint64 spill_t1;          // [h] t1
  uint64 spill_sp;          // [h] sp
  uint64 victim_lo;         // [h] the record as it was when a report began
  uint64 victim_hi;         // [h]
  struct thread *current;   // [h] the running thread; never null once boot is over
  struct space *space;      // [h] the running thread's user space or null; set by the scheduler
  struct spinlock *held;    // [h] spin locks this hart holds, last taken first
  struct spinlock *wanted;  // [h] the one it spins for, or null
  struct runqueue *queue;   // [I] threads ready to run here (kern/sched)
  uint64 fence_generation;  // [h] kernel mappings up to this one are seen here (vm/tlb.h)
  uint64 satp;              // [h] what satp holds
  uint64 irq_depth;         // [h] interrupt handlers active on this hart
  uint32 index;             // [I] 0 to hart_count - 1
  uint64 id;                // [I] the number firmware and device tree use (mhartid)
  bool need_resched;        // [h] leave the running thread at the next chance
  bool online;              // [a]

  void *spare[KSTACK_POOL];      // [h] pages for kstack_extend, all zeros
  uint32 spares;                 // [h] how many
} __attribute__((aligned(64)));  // a cache line is of one hart

extern struct hart harts[HART_MAX];  // [I] dense, by index
extern uint32 hart_count;            // [I]

#if __riscv

// Return this hart where interrupts are off beyond doubt: just turned off, or a lock is held.
static inline struct hart *this_hart_unchecked(void) {
  struct hart *h;
  asm volatile("mv %0, tp" : "=r"(h));
  return h;
}

// Return this hart, valid until the thread could move.  Holds: interrupts off, asserted.
static inline struct hart *this_hart(void) {
  assert(!irq_enabled());
  return this_hart_unchecked();
}

// Return a field of this hart by one load from tp, so whole whatever hart it happens on.
#define HART_LOAD(load, field)                                                                     \
  ({                                                                                               \
    uint64 field_;                                                                                 \
    asm volatile(load " %0, %1(tp)" : "=r"(field_) : "i"(offsetof(struct hart, field)));           \
    (__typeof__(((struct hart *)0)->field))field_;                                                 \
  })

// Set a field of this hart, likewise.  Holds: interrupts off.
#define HART_STORE(store, field, value)                                                            \
  asm volatile(store " %0, %1(tp)" : : "r"(value), "i"(offsetof(struct hart, field)) : "memory")

// Return the running thread.
static inline struct thread *thread_current(void) {
  return HART_LOAD("ld", current);
}

// Return whether the running thread should give way.  Holds: interrupts off, so that it stays true;
// not asserted, because every system call passes through here.
static inline bool hart_must_yield(void) {
  return HART_LOAD("lbu", need_resched);
}

// Return the running thread's user space, null in a kernel thread.
static inline struct space *space_current(void) {
  return HART_LOAD("ld", space);
}

// Return the lock this hart took last and holds, or null.  What is not null stays so until this
// flow releases it, since holding keeps interrupts off.
static inline struct spinlock *hart_held(void) {
  return HART_LOAD("ld", held);
}

// Return the queue of threads ready to run here.  Holds: interrupts off; not asserted, because each
// switch passes through here.
static inline struct runqueue *hart_queue(void) {
  return HART_LOAD("ld", queue);
}

// Return this hart's index.  Stale as soon as the thread moves, so only for choosing among things
// that any hart may use.
static inline uint32 hart_index(void) {
  return HART_LOAD("lw", index);
}

#else
struct thread *thread_current(void);  // a host test has its own
struct spinlock *hart_held(void);
struct runqueue *hart_queue(void);
#endif
