// SPDX-License-Identifier: MIT
//
// The self-check of the address space.
#pragma once

#include "kern/lib/types.h"
#include "vm/pagetable.h"

// Walk the kernel half: guards of every slot unmapped, live stacks mapped RW and no more, W^X for
// every alias, no U, A/D/G as they must be; that every user page table shares it; that the window
// has a slot for each stack that RAM could hold; then as vm_check_fault_stacks.  Panics with the
// address of the first violation.  Boot, and on demand.
void vm_check(void);

// Check that each hart has an emergency stack of its own, in the window.  Panics with the first
// that has none.
void vm_check_fault_stacks(void);

// Check that pt's kernel half equals the kernel's.  Panics with the root index otherwise.
void vm_check_shared(const struct pagetable *pt);
