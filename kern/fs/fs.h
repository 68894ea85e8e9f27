// SPDX-License-Identifier: MIT
//
// The file system's start.  kern/fs/file.h and kern/fs/name.h have its use.
#pragma once

// Mount the root file system: check the superblock, recover the log, reclaim orphans.
// Process context, sleeps.  Returns 0, or negative errno with *why in words.
int fs_mount(const char **why);
