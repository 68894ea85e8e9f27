// SPDX-License-Identifier: MIT
//
// Classes of kernel faults.  Pure: also compiled for the host, where every boundary is tested.
#pragma once

#include "kern/lib/types.h"
#include "vm/kstack.h"

enum fault_class {
  FAULT_OVERFLOW,
  FAULT_UNDERFLOW,
  FAULT_WILD_SP,
  FAULT_GROWTH,  // not by classify: the stack needs a page, and gets none
  FAULT_EXCEPTION,
  FAULT_GUARD_BELOW,
  FAULT_GUARD_ABOVE,
  FAULT_STALE_STACK,
  FAULT_GUARD_OTHER,
  FAULT_NULL,
  FAULT_USER_ACCESS,
  FAULT_EXEC_NX,
  FAULT_WRITE_RODATA,
  FAULT_UNMAPPED,
  FAULT_CLASSES,
};

// Return whether the cause is a page fault: of a fetch, a load, a store.
bool is_page_fault(uint64 scause);

// Bounds of a stack: [lo, hi).
struct stack_bounds {
  uint64 lo, hi;
};

// Name the class of a fault in the kernel.  scause, stval and sp are as at the fault; stack is the
// one this hart ran on; slot describes stval; pte is the leaf that translates stval, or 0.
enum fault_class classify(uint64 scause, uint64 stval, uint64 sp, struct stack_bounds stack,
                          struct kstack_slot slot, uint64 pte);

// Return by how many bytes the fault missed its stack: how far sp ran out of it, or how far stval
// lies beyond it; 0 where that means nothing.
uint64 fault_past(enum fault_class class, uint64 stval, uint64 sp, struct stack_bounds stack);

// Return the word for the class in the machine line.
const char *fault_class_name(enum fault_class class);
