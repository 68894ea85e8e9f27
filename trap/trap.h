// SPDX-License-Identifier: MIT
//
// What trap/entry.S and the C parts of trap/ offer each other.
#pragma once

#include "kern/lib/trapframe.h"
#include "kern/lib/types.h"

// The trap vector, once a hart's record and emergency stack exist.
void trap_entry(void);

// Handle a trap from the kernel, or from user mode.  Called by entry.S, interrupts off, with sp
// just below the frame; the frame is what the trap returns through.
void trap(struct trap_frame *frame);
void trap_user(struct trap_frame *frame);

// Handle an interrupt of the kernel.  Called by entry.S, interrupts off, on this hart's interrupt
// stack; the frame is on the interrupted thread's.  Returns whether that thread is to be preempted,
// which trap_preempt does, back on its own stack just below the frame.
bool trap_interrupt(struct trap_frame *frame);
void trap_preempt(struct trap_frame *frame);

// Report a kernel fault and decide who has to go.  Called by entry.S on the emergency stack: frame
// is everything as at the fault, hart->victim_lo and victim_hi are the record as it was.
_Noreturn void stack_fault(struct trap_frame *frame);

// Likewise for a fault with a good sp: move to the emergency stack and call stack_fault there.
_Noreturn void fault_on_emergency_stack(struct trap_frame *frame);

// The reporter itself has failed: one line through the firmware, then the end.  Uses no stack.
_Noreturn void last_resort_frame(const struct trap_frame *frame);

// Go back to the victim's stack, emptied, and call fn(arg) there.  Interrupts off.
_Noreturn void leave_emergency_stack(void (*fn)(int), int arg);

// Leave for user mode through frame, at the top of the running stack.  Interrupts off.
_Noreturn void trap_user_return(struct trap_frame *frame);

// Load the 8 bytes at address, a multiple of 8, which need not be mapped.  Returns whether they
// are.
bool probe_read(uint64 address, uint64 *value);

// Code addresses: the load that may fault and where it goes on then; where trap() and
// trap_preempt(), trap_user(), trap_interrupt() return to.
extern char probe_load[], probe_failed[];
extern char trap_returns_to[], trap_user_returns_to[], trap_interrupt_returns_to[];

// Return whether pc is in the kernel's text.
bool is_kernel_text(uint64 pc);
