// SPDX-License-Identifier: MIT
//
// The report of a kernel fault: for people first, then one line for machines.
#pragma once

#include "kern/lib/hart.h"
#include "kern/lib/trapframe.h"
#include "trap/fault.h"
#include "vm/kstack.h"

// All that is known of a fault in the kernel.
struct fault {
  const struct trap_frame *frame;  // everything as at the fault
  const struct hart *hart;
  const char *name;           // of the running thread, or "boot"
  int pid;                    // of the running thread; 0 for a kernel thread and in boot
  struct stack_bounds stack;  // the stack it ran on
  uint64 sp;                  // as at the fault
  enum fault_class class;
  uint64 past;               // bytes by which the fault missed its stack, see fault_past
  struct kstack_slot other;  // the slot that the address (or a wild sp) belongs to, if in_window
  const char *why;           // what forces a panic, or null: the process is killed
  const char *reserve;       // or null: it goes on in the reserve, for this reason
  const char *denied;        // KSTACK_GROW: why the stack does not grow, or null: it need not
  bool nobody;               // there is no process to kill
};

// Print the report.  Takes no lock; reads memory that may be broken only through probe_read.
// Between print_begin_report and print_end_report, on the emergency stack.
void report_print(const struct fault *f);

// The report of that frame is out; nothing else has changed yet.  The grader stops here.
// Implemented by: trap/rendezvous.S.
void report_rendezvous(const struct trap_frame *frame);
