// SPDX-License-Identifier: MIT
//
// Process ids: how many there may be, and which process has which.
//
// I1. A pid is reserved before its process is made and released after its process is gone; between
//     the two it counts against the limit (nproc= in the boot arguments).
// I2. No two pids share a slot of the table, so finding one takes constant time.
#pragma once

#include "kern/lib/spinlock.h"
#include "kern/lib/types.h"

struct process;

extern struct spinlock process_lock;

// Make the table.  Boot only; panics on no memory.
void pid_init(void);

// Return a number that no process has, or -EAGAIN when as many as there may be are taken. Processes
// in a limited account cannot use the last eighth of the numbers; zombies hold a number without
// paying.  Holds: process_lock.
int pid_reserve(bool limited);

// Give a number back, whether a process was entered under it or not.  Holds: process_lock.
void pid_release(int pid);

// Enter a process under its reserved number.  Holds: process_lock.
void pid_insert(struct process *p);

// Return the process with that number or NULL.  Holds: process_lock.
struct process *pid_find(int pid);

// Return the process after *cursor, which begins at 0, and move *cursor on to it; NULL after the
// last.  A process that comes or goes between two calls may be missed.  Holds: process_lock.
struct process *pid_next(uint64 *cursor);
