// SPDX-License-Identifier: MIT
//
// External interrupts: the PLIC, and who handles each source.  Software interrupts.
#pragma once

#include "kern/lib/types.h"

// Map the PLIC.  Boot hart, once.  Then irq_init_hart on every hart.
void irq_init(void);
void irq_init_hart(void);

// Let handler() handle source, in interrupt context.  Boot hart.
void irq_register(uint32 source, void (*handler)(void));

// Claim, handle and complete the interrupts pending for this hart.  Holds: interrupts off.
void irq_external(void);

// Handle a software interrupt that a hart sent to this one.  Holds: interrupts off.
void irq_software(void);

// While set, every software interrupt calls it.  Not there with PROVOKE=n.
extern void (*irq_software_test)(void);  // [a]
