// SPDX-License-Identifier: MIT
//
// Walking a kernel stack that may be broken.
#pragma once

#include "kern/lib/trapframe.h"
#include "kern/lib/types.h"
#include "trap/fault.h"

// One frame of the walk.
struct unwind {
  struct stack_bounds stack;  // what may be read
  bool crossed;               // it is an interrupted thread's, not the first one
  uint64 pc;                  // where the function is (or where its callee returns to)
  uint64 sp;                  // lowest byte of the function's frame
  uint64 cfa;                 // one past its highest: the caller's sp at the call
  uint64 caller_pc;           // 0: there is no caller
  uint64 caller_fp;
  bool trapped;  // a trap interrupted this function; scause and stval are its
  uint64 scause, stval;
};

// Begin at the context of frame, on stack.  Reads text and the stack through probe_read only.
void unwind_begin(struct unwind *u, const struct trap_frame *frame, struct stack_bounds stack);

// Go on to the caller, across a trap too.  Returns false where the walk cannot go on.
bool unwind_next(struct unwind *u);

// Print the whole walk: function, bytes of its frame, equal frames folded ("x118").
void backtrace_print(const struct trap_frame *frame, struct stack_bounds stack);
