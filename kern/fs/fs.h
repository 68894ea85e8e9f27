// SPDX-License-Identifier: MIT
//
// Mounting the file system, and the shape of the mounted image.  kern/fs/file.h and kern/fs/name.h
// are for those who use it.
//
// I1. Every number that comes from the disk is checked before it is used: the superblock and the
//     log header at mount, an inode when it is loaded, a block number or a directory entry when it
//     is read.  A bad one gives -EIO, never a panic and never an access outside its area.
#pragma once

#include "kern/lib/types.h"

struct inode;

// The areas of the image, from a checked superblock.  [I] fixed after mount
// What is in memory of it.  [a] atomic
struct fs_geometry {
  uint32 size;          // blocks
  uint32 ninodes;       // inode numbers are 1 to ninodes - 1
  uint32 log_start;     // the log's header block
  uint32 log_size;      // blocks of data in the log
  uint32 log_capacity;  // blocks that one commit may use
  uint32 inode_start;
  uint32 bitmap_start;
  uint32 bitmap_blocks;
  uint32 data_start;
  uint32 epoch;        // [a] what was copied from the disk in an earlier one is read again
  struct inode *root;  // referred to for good, so no path waits for memory at its first step
  bool dropped;        // [a] changes were given up, and those of open transactions come to nothing
};

extern struct fs_geometry fs;

// Return whether a file may own the block.
static inline bool fs_is_data(uint32 block) {
  return block >= fs.data_start && block < fs.size;
}

// Mount the root file system: check the superblock, recover the log, reclaim orphans.
// Process context, sleeps.  Returns 0, or negative errno with *why in words.
int fs_mount(const char **why);

// Say (the first few times) that the image is damaged at the given number.  Once changes were given
// up it may seem so to a call that was in the middle of one, and nothing is said.  Returns -EIO.
int fs_damage(const char *what, uint32 number);
