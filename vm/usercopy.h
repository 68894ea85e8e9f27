// SPDX-License-Identifier: MIT
//
// Copies between the kernel and the running process.
//
// SUM is set only inside one routine (usercopy.S), whose pc range is its own exception table: the
// trap handler offers a fault there to usercopy_fault.  No spin lock is held across a copy.
#pragma once

#include "kern/lib/types.h"

struct trap_frame;

// Copy n bytes.  Return 0, or -EFAULT when any byte is outside what the process may read (write);
// bytes before that one may have been copied.  Hold no spin lock.  n may be 0.
int copy_from_user(void *dst, uva_t src, uint64 n);
int copy_to_user(uva_t dst, const void *src, uint64 n);

// Copy a string of at most size - 1 bytes and its terminator.  Returns its length, -EFAULT, or
// -ENAMETOOLONG when there is no terminator in size bytes.
int64 copy_string_from_user(char *dst, uva_t src, uint64 size);

// If the frame's sepc is in the copying routine and its fault is a page fault at a user address,
// the other side being the kernel's, resolve it: by space_fault, else by making the copy return
// -EFAULT.  Returns whether it was.  With interrupts off; meanwhile they are on, if they were where
// it faulted.
bool usercopy_fault(struct trap_frame *frame);
