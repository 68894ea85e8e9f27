// SPDX-License-Identifier: MIT
//
// From the user's ecall to the system call.
#pragma once

#include "kern/lib/trapframe.h"

// Do the system call that the frame asks for: number in a7, arguments from a0 on, result to a0.
// entry.S calls this as it calls trap_user (trap/trap.h), in its place.
void syscall(struct trap_frame *frame);
