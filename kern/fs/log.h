// SPDX-License-Identifier: MIT
//
// The log: changes to the disk in transactions, each of which happens wholly or not at all.
//
// I1. A block that a transaction changed is not written to its place before the commit that
//     contains it is on the disk.
// I2. A transaction is begun before any inode is locked, so that waiting for room blocks nobody.
// I3. After an error in writing, nothing is written any more: the disk keeps its last consistent
//     state, the buffers stay in memory, and log_begin fails with -EROFS.
#pragma once

#include "kern/lib/types.h"

struct buf;

#define LOG_OP_MAX 14  // blocks that one transaction may change

// Write what a crash left in the log to its place.  Returns 0, or negative errno with *why.
int log_recover(const char **why);

// Begin a transaction, waiting for room.  Returns 0 or -EROFS.  Sleeps; holds no lock.
int log_begin(void);

// The buffer's contents have changed in this transaction.
void log_write(struct buf *b);

// End the transaction.  The last one open commits for all.  Returns 0, or -EIO when the change is
// not on the disk (I3).  Sleeps.
int log_end(void);

// Give up writing: the transaction is half done and cannot be finished.  See I3.
void log_fail(const char *what);
