// SPDX-License-Identifier: MIT
//
// The self-check of the address space.
#pragma once

// Check the kernel half: each guard is unmapped, live stacks are mapped RW and nothing more, W^X
// holds for every alias, no entry has U, and each has A, D and G; every user page table shares it;
// the window has a slot for each stack that RAM could hold.  Then do as vm_check_fault_stacks.
// Panics with the address of the first violation.  At boot, and on demand.
void vm_check(void);

// Check that each hart has an emergency stack of its own, in the window.  Panics with the first
// hart that has none.
void vm_check_fault_stacks(void);
