// SPDX-License-Identifier: MIT
//
// The log: changes to the disk in transactions, each of which happens wholly or not at all.
//
// I1. A block that a transaction changed is not written to its place before the commit that
//     contains it is on the disk.
// I2. A transaction begins before any sleep lock is taken, so that waiting for room blocks nobody.
// I3. After an error in writing, nothing is written any more: the disk keeps its last consistent
//     state, the buffers stay in memory, and log_begin fails with -EROFS.
//     When a call is killed in its transaction, what is not committed may be given up: see
//     log_abandon.
// I4. A commit has happened when the first sector of the header is on the disk: LOG_BLOCKS_MAX.
#pragma once

#include "kern/lib/types.h"

struct buf;

// Write what a crash left in the log to its place.  Returns 0, or negative errno with *why.
int log_recover(const char **why);

// Begin a transaction, waiting for room.  Returns 0 or -EROFS.  Sleeps.  Holds: no lock (I2).
int log_begin(void);

// Add the buffer, whose contents are about to change, to the thread's open transaction.
void log_write(struct buf *b);

// End the transaction.  The last one open commits for all: until then, or until log_sync returns,
// the change need not be on the disk.  Returns 0, or -EIO when it will never be (I3).  Sleeps.
int log_end(void);

// Wait until every transaction that has ended is on the disk, flushed.  New ones wait too, so one
// commit is enough whatever others do.  Returns 0, or -EROFS when some may be missing (I3). Sleeps,
// and a kill does not end it.  No transaction is open in this thread.
int log_sync(void);

// The same for good: no transaction begins any more, and nothing is written after the return.
int log_close(void);

// End the transaction of the running thread, which is killed and still holds its sleep locks
// (docs/survival.md).  If it holds none, or has changed nothing, it ends like any other.  If no
// other transaction shares its commit, it is undone.  Else all that is not committed is given up,
// and I3 holds from then on, but what was changed is read from the disk again.
void log_abandon(void);

// Give up writing: the transaction is half done and cannot be finished.  See I3.
void log_fail(const char *what);
