// SPDX-License-Identifier: MIT
//
// Inodes: files, directories and devices, without their names.
//
// I1. An inode number is in at most one struct inode, which exists while it has references.
// I2. The lock guards what the struct copies from the disk, its slot in the inode table and the
//     contents of its blocks.
// I3. Without links and references the inode is free: the last inode_put gives its blocks back.
#pragma once

#include "kern/lib/abi.h"
#include "kern/lib/list.h"
#include "kern/lib/types.h"
#include "kern/sched/sleeplock.h"

struct buf;

// [I] fixed after creation  [t] inode table's lock  [l] lock
struct inode {
  uint32 inum;       // [I]
  uint32 refs;       // [t]
  struct list node;  // [t]
  struct sleeplock lock;
  struct dinode disk;  // [l] at a multiple of 8, so that it is copied by words
  uint32 valid;        // [l] the epoch (kern/fs/fs.h) in which disk was copied and checked; 0: none
};

// Boot only, once the image is known to be good.
void inode_init(void);

// Find a reference to the inode, which is in the call's record (kern/sched/held.h) until inode_put
// or until the caller keeps it.  Returns 0, -ENOMEM or -EIO (no such inode).
int inode_get(uint32 inum, struct inode **out);

// Take another reference, in the call's record, too; or one that *at is from now on.
struct inode *inode_hold(struct inode *ip);
void inode_dup(struct inode *ip, struct inode **at);

// Drop a reference; the last one to an inode without links frees it.  Sleeps; no transaction is
// open and no inode is locked.  NULL is allowed.
void inode_put(struct inode *ip);

// The same with the reference that *at is, if there is one, and clear that.
void inode_close(struct inode **at);

// Lock the inode and load it if needed.  Returns 0, or an error with the inode not locked: -ENOENT
// when it is free, as the parent of a removed directory can be, or -EIO when it cannot be read or
// is damaged.
int inode_lock(struct inode *ip);
static inline void inode_unlock(struct inode *ip) {
  sleep_unlock(&ip->lock);
}

// Allocate an inode without links; *out gets it referenced and locked.  Changes one block of the
// open transaction.  Returns 0, -ENOSPC, -ENOMEM or -EIO.
int inode_alloc(short type, short major, short minor, struct inode **out);

// Write ip->disk to its slot.  Changes one block of the open transaction.  Holds: the lock.
void inode_update(struct inode *ip);

// Get a reference to the file's block number index, which lies in the file.  Returns 0 or -EIO.
// Holds: the lock.
int inode_block(struct inode *ip, uint32 index, struct buf **b);

// Read at most n bytes at off, to kernel or user memory.  Returns the count (0 at the end of the
// file), -EIO or -EFAULT.  Holds: the lock.
int64 inode_read(struct inode *ip, void *dst, uint64 off, uint64 n);
int64 inode_read_user(struct inode *ip, uva_t dst, uint64 off, uint64 n);

// Write at most n bytes at off, which is not beyond the end.  A call writes no more than fits in a
// transaction beside one other changed block.  Returns the count (not 0 unless n is), -ENOSPC,
// -EFBIG, -EINVAL or -EIO.  Holds: the lock, in a transaction.
int64 inode_write(struct inode *ip, const void *src, uint64 off, uint64 n);

// Cut the file to nothing, in transactions of its own.  Returns 0, -EIO or -EROFS.
int inode_truncate(struct inode *ip);

// Free the inodes without links that a crash left.  Mount only.
int inode_reclaim_orphans(void);
