// SPDX-License-Identifier: MIT
//
// exec: another program for the running process.
#pragma once

#include "kern/lib/limits.h"
#include "kern/lib/types.h"

// The arguments of a program, on their way from the old space to the new: their text in a page,
// each string rounded up to 16 bytes as it will lie on the stack.
struct exec_args {
  char *text;   // a page
  uint32 used;  // bytes of it
  int count;
  uint16 at[ARGS_MAX];  // where each string begins in text
};

// Begin with no arguments.  Returns 0 or -ENOMEM.  The text is in the call's record until its end
// (kern/sched/held.h).
int exec_args_init(struct exec_args *args);

// Append a string of length bytes in the kernel, or a terminated one at a user address.  Return 0,
// -E2BIG or -EFAULT.
int exec_args_add(struct exec_args *args, const char *string, uint64 length);
int exec_args_add_user(struct exec_args *args, uva_t string);

// Replace the running process's program by the one at path: a new space, a new user frame.  Files
// stay open.  Sleeps.  Does not return, or returns a negative errno with the process unharmed, but
// with what was made in the call's record until that ends (kern/sched/held.h, I4).
int process_exec(const char *path, struct exec_args *args);
