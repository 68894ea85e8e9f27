// SPDX-License-Identifier: MIT
//
// What trap/entry.S and the C parts of trap/ offer each other.  trap/kernel_fault.c has
// kernel_fault, trap/trap.c the other C functions, and trap/entry.S the assembly where no other
// file is named.
#pragma once

#include "kern/lib/trapframe.h"
#include "kern/lib/types.h"
#include "kern/proc/process.h"

// The trap vector, once a hart's record and emergency stack exist.
void trap_entry(void);

// Handle a trap from user mode that is no system call (trap/syscall.h), or an exception of the
// kernel.  entry.S calls these with interrupts off and sp just below the frame, through which the
// trap returns.
void trap_user(struct trap_frame *frame);
void trap_kernel_exception(struct trap_frame *frame);

// Handle an interrupt of the kernel.  entry.S calls this with interrupts off, on this hart's
// interrupt stack; the frame is on the interrupted thread's stack.  Returns whether to preempt that
// thread: trap_preempt does so, back on the thread's own stack, just below the frame.
bool trap_kernel_interrupt(struct trap_frame *frame);
void trap_preempt(struct trap_frame *frame);

// Report a fault of the kernel, of any class, and kill the process or panic.  entry.S calls this on
// the emergency stack: frame is everything as at the fault, and hart->victim_lo and victim_hi are
// the record as it was.  Interrupts are off.  Returns if what has overflowed goes on, by way of the
// frame: the stack is enlarged, and those bounds are its new ones.
void kernel_fault(struct trap_frame *frame);

// End the running thread, which is doomed, if it holds nothing any more.  trap/trap.c calls this
// when the thread has been interrupted, on this hart's interrupt stack.  In kernel_fault.c.
void end_doomed(const struct trap_frame *frame);

// Move from a stack that is good to the emergency stack and call kernel_fault there.  Interrupts
// are off.  Implemented by: trap/entry.S.
_Noreturn void fault_on_emergency_stack(struct trap_frame *frame);

// Print one line through the firmware and stop the machine, because the reporter itself has failed.
// Uses no stack.  Implemented by: trap/last_resort.S.
_Noreturn void last_resort_frame(const struct trap_frame *frame);

// Go to the stack from hart->victim_lo to victim_hi, emptied, and call fn there.  Interrupts are
// off.  Implemented by: trap/entry.S.
_Noreturn void leave_emergency_stack(void (*fn)(void));

// Leave for user mode through frame, at the top of the running stack.  Interrupts are off.
// Implemented by: trap/entry.S.
_Noreturn void trap_user_return(struct trap_frame *frame);

// Load the 8 bytes at address, a multiple of 8, which need not be mapped.  Returns whether they
// are.
bool probe_read(uint64 address, uint64 *value);

// The load of probe_read that may fault, and where it goes on then.
extern char probe_load[], probe_failed[];

// Where in entry.S the handlers return to: syscall and trap_user; trap_kernel_exception and
// trap_preempt; trap_kernel_interrupt.
extern char trap_user_returns_to[], trap_kernel_returns_to[], trap_kernel_interrupt_returns_to[];

// Return whether pc is in the kernel's text.
bool is_kernel_text(uint64 pc);

// Check a frame through which the running thread goes to user mode (trap/trap.c, I2), and end the
// process instead if it is marked to die.  Called on every way there, with interrupts off.
static inline void check_user_return(const struct trap_frame *frame) {
  if (__builtin_expect(load_relaxed(&thread_current()->killed), 0)) {
    irq_on();
    process_exit(-1);
  }
  assert(!KASAN || thread_current()->held_count == 0);
  assert(!(frame->sstatus & SSTATUS_SPP));
}
