// SPDX-License-Identifier: MIT
//
// Open files: an inode, a device or an end of a pipe, and the offset of the next transfer.  The
// descriptors that dup and fork make share one.
#pragma once

#include "kern/lib/types.h"

struct file;
struct inode;

// Open the path, creating a file under O_CREATE; flags as in kern/lib/abi.h.  *out gets a file,
// which is in no record of the call any more, so out is where it stays.
// Returns 0 or negative errno; then the file and its inode may stay in the record of the call
// until that ends (kern/sched/held.h, I4).  Sleeps.
int file_open(struct inode *cwd, const char *path, int flags, struct file **out);

// Open the console without a name on the disk.  Boot only.  On no memory *out stays as it is.
void file_console(struct file **out);

// Make a pipe with its two ends, likewise.  Returns 0 or -ENOMEM; then what was made stays there.
int file_pipe(struct file **read_end, struct file **write_end);

// Take another reference, which *at is from now on.
void file_dup(struct file *f, struct file **at);

// Drop the reference that *at is, and clear that; the last one closes the file.  Sleeps.
void file_close(struct file **at);

// Close a file without references, or go on with that.  Sleeps.
void file_end(struct file *f);

// Transfer at most n bytes.  Return the count, 0 at end of file, or negative errno: -EBADF for no
// file (null) or one not open for that.  A bad address has no other effect, except that a transfer
// to or from a pipe or device may report what was moved before.  Sleep.
int64 file_read(struct file *f, uva_t dst, uint64 n);
int64 file_write(struct file *f, uva_t src, uint64 n);

// Write the file's struct stat.  Returns 0, -EBADF for no file (null) or a pipe, -EFAULT or -EIO.
// Sleeps.
int file_stat(struct file *f, uva_t dst);
