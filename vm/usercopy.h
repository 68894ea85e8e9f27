// SPDX-License-Identifier: MIT
//
// Copies between the kernel and the running process.
//
// SUM is set only inside one routine (usercopy.S), whose pc range is its own exception table: the
// trap handler offers a fault there to usercopy_fault.  No spin lock is held across a copy.
#pragma once

#include "kern/lib/types.h"

struct trap_frame;

// Copy n bytes, or none.  Return 0, or -EFAULT when the process may not read (write) one of them;
// bytes before that one may have been copied.  The caller holds no spin lock.
int copy_from_user(void *dst, uva_t src, uint64 n);
int copy_to_user(uva_t dst, const void *src, uint64 n);

// Copy a string of at most size - 1 bytes and its terminator.  Returns its length, -EFAULT, or
// -ENAMETOOLONG when size bytes have no terminator.  The caller holds no spin lock.
int64 copy_string_from_user(char *dst, uva_t src, uint64 size);

// If sepc is in the copying routine, and the fault is a page fault at a user address while the
// other side is the kernel's, resolve it: by space_fault, or else by making the copy return
// -EFAULT. Returns whether it did.  Holds: interrupts off; meanwhile they are on, if they were on
// where it faulted.
bool usercopy_fault(struct trap_frame *frame);
