// SPDX-License-Identifier: MIT
//
// Find the class of a kernel fault.
//
// 1. sp decides first: when the stack is gone, that is the fault, whatever the cause (it may be an
//    interrupt).  The bounds are those of the entry code, so the two never disagree.
// 2. Then the cause: only a page fault has an address to classify.
// 3. Then the address: this stack's guards, other stacks, the user half, the rest.
#include "trap/fault.h"

#include "kern/lib/csr.h"
#include "kern/lib/trapframe.h"
#include "vm/layout.h"
#include "vm/pagetable.h"

#define FRAME       sizeof(struct trap_frame)
#define STACK_ALIGN 16

static bool sp_is_good(uint64 sp, struct stack_bounds stack) {
  return sp >= stack.lo + FRAME && sp <= stack.hi && sp % STACK_ALIGN == 0;
}

static enum fault_class classify_sp(uint64 sp, struct stack_bounds stack) {
  if (sp >= stack.lo - KSTACK_GUARD && sp < stack.lo + FRAME)
    return FAULT_OVERFLOW;
  if (sp > stack.hi && sp <= stack.hi + KSTACK_GUARD)
    return FAULT_UNDERFLOW;
  return FAULT_WILD_SP;
}

bool is_page_fault(uint64 scause) {
  return scause == CAUSE_FETCH_PAGE || scause == CAUSE_LOAD_PAGE || scause == CAUSE_STORE_PAGE;
}

static enum fault_class classify_mapping(uint64 scause, uint64 pte) {
  if ((pte & PTE_V) && scause == CAUSE_FETCH_PAGE)
    return FAULT_EXEC_NX;
  if ((pte & PTE_V) && !(pte & PTE_W) && scause == CAUSE_STORE_PAGE)
    return FAULT_WRITE_RODATA;
  return FAULT_UNMAPPED;
}

enum fault_class classify(uint64 scause, uint64 stval, uint64 sp, struct stack_bounds stack,
                          struct kstack_slot slot, uint64 pte) {
  if (!sp_is_good(sp, stack))
    return classify_sp(sp, stack);
  if (!is_page_fault(scause))
    return FAULT_EXCEPTION;
  if (slot.in_guard && stval >= stack.lo - KSTACK_GUARD && stval < stack.lo)
    return FAULT_GUARD_BELOW;
  if (slot.in_guard && stval >= stack.hi && stval < stack.hi + KSTACK_GUARD)
    return FAULT_GUARD_ABOVE;
  if (slot.in_window && !slot.in_guard && !slot.live && !(pte & PTE_V))
    return FAULT_STALE_STACK;
  if (slot.in_window && slot.in_guard)
    return slot.live || slot.below_live ? FAULT_GUARD_OTHER : FAULT_STALE_STACK;
  if (stval < PAGE_SIZE)
    return FAULT_NULL;
  if (stval < USER_END)
    return FAULT_USER_ACCESS;
  return classify_mapping(scause, pte);
}

uint64 fault_past(enum fault_class class, uint64 stval, uint64 sp, struct stack_bounds stack) {
  switch (class) {
  case FAULT_OVERFLOW:
    return sp < stack.lo ? stack.lo - sp : stack.lo + FRAME - sp;
  case FAULT_UNDERFLOW:
    return sp - stack.hi;
  case FAULT_GUARD_BELOW:
    return stack.lo - stval;
  case FAULT_GUARD_ABOVE:
    return stval - stack.hi + 1;
  default:
    return 0;
  }
}

const char *fault_class_name(enum fault_class class) {
  static const char *const names[FAULT_CLASSES] = {
      [FAULT_OVERFLOW] = "overflow",         [FAULT_UNDERFLOW] = "underflow",
      [FAULT_WILD_SP] = "wild-sp",           [FAULT_GROWTH] = "growth",
      [FAULT_EXCEPTION] = "exception",       [FAULT_GUARD_BELOW] = "guard-below",
      [FAULT_GUARD_ABOVE] = "guard-above",   [FAULT_STALE_STACK] = "stale-stack",
      [FAULT_GUARD_OTHER] = "guard-other",   [FAULT_NULL] = "null",
      [FAULT_USER_ACCESS] = "user-access",   [FAULT_EXEC_NX] = "exec-nx",
      [FAULT_WRITE_RODATA] = "write-rodata", [FAULT_UNMAPPED] = "unmapped",
  };
  return names[class];
}
