// SPDX-License-Identifier: MIT
//
// Process ids: who may exist, and who has which number.
//
// I1. A pid is reserved before its process is made and released after its process is gone; between
//     the two it counts against the limit (nproc= in the boot arguments).
// I2. No two pids share a slot of the table, so finding one is constant work however many there
// are.
#pragma once

#include "kern/lib/spinlock.h"
#include "kern/lib/types.h"

struct process;

extern struct spinlock process_lock;

// Make the table.  Boot only; panics on no memory.
void pid_init(void);

// Return a number that no process has, or -EAGAIN when there are as many as there may be.  Whoever
// is limited does not get the last eighth: a zombie has a number, and costs its account nothing.
// Holds: process_lock.
int pid_reserve(bool limited);

// Give a number back, whether a process was entered under it or not.  Holds: process_lock.
void pid_release(int pid);

// Enter a process under its reserved number.  Holds: process_lock.
void pid_insert(struct process *p);

// Return the process with that number or NULL.  Holds: process_lock.
struct process *pid_find(int pid);

// Return a process that comes after what *cursor says, NULL after the last; *cursor begins at 0.
// A process that comes or goes between two calls may be missed.  Holds: process_lock.
struct process *pid_next(uint64 *cursor);
