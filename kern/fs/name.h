// SPDX-License-Identifier: MIT
//
// Directories and paths.
//
// A path starts at the root when it begins with '/', else at cwd, which it leaves referenced.  An
// element is cut to DIRSIZ bytes; an empty path names cwd itself.  Everything here sleeps, runs
// with no inode locked and no transaction open, and returns 0 or negative errno.
#pragma once

#include "kern/fs/inode.h"

// Mount only.
void name_init(void);

// Find the inode of a path; *out gets a reference.
int name_lookup(struct inode *cwd, const char *path, struct inode **out);

// Likewise, but only a directory (-ENOTDIR).
int name_lookup_directory(struct inode *cwd, const char *path, struct inode **out);

// Make a file, directory or device; *out, unless it is null, gets a reference.  An existing file
// or device is what creating a file finds; anything else that exists is -EEXIST.
int name_create(struct inode *cwd, const char *path, enum file_type type, short major, short minor,
                struct inode **out);

// Give the inode of the old path, no directory, a second name.
int name_link(struct inode *cwd, const char *old_path, const char *new_path);

// Remove a name; a directory must be empty.
int name_unlink(struct inode *cwd, const char *path);
