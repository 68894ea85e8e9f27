// SPDX-License-Identifier: MIT
//
// Directories and paths.
//
// A path starts at the root when it begins with '/', else at cwd, of which the caller keeps its
// reference.  An element is cut to DIRSIZ bytes; an empty path names cwd itself.  Every function
// sleeps, is called with no inode locked and no transaction open, and returns 0 or negative errno.
// After an error the references that it took may stay in the record of the system call until that
// ends (kern/sched/held.h, I4).
#pragma once

#include "kern/fs/inode.h"

// Mount only.
void name_init(void);

// Find the inode of a path; *out gets a reference.
int name_lookup(struct inode *cwd, const char *path, struct inode **out);

// The same, but -ENOTDIR unless it is a directory.
int name_lookup_directory(struct inode *cwd, const char *path, struct inode **out);

// Make a file, directory or device; *out, unless it is null, gets a reference.  Making a file where
// a file or device exists finds that; where anything else exists the call returns -EEXIST.
int name_create(struct inode *cwd, const char *path, enum file_type type, short major, short minor,
                struct inode **out);

// Give the inode of the old path, which is not a directory, a second name.
int name_link(struct inode *cwd, const char *old_path, const char *new_path);

// Remove a name; a directory must be empty.
int name_unlink(struct inode *cwd, const char *path);
