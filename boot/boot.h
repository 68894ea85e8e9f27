// SPDX-License-Identifier: MIT
//
// What boot/start.S and boot/main.c offer each other.
#pragma once

#include "kern/lib/types.h"
#include "vm/pagetable.h"

#define GIGAPAGE_SIZE (1UL << 30)

extern struct pagetable early_root;  // in satp until pagetable_init

// Begin C, on the boot stack, in the high half, with tp = &harts[0].
_Noreturn void boot_main(uint64 hart_id, pa_t fdt);

// Begin C on another hart, on its idle stack, with traps at trap_entry.
_Noreturn void boot_secondary(void);

// Where the firmware starts another hart (at its physical address).
_Noreturn void secondary_start(uint64 hart_id);

extern uint32 boot_harts_ready;  // [a] other harts may begin: their structs and stacks exist

// Leave the boot stack for the top of the stack in this hart's record, take traps at trap_entry
// from now on, call fn.
_Noreturn void boot_enter_stack(void (*fn)(void));
