// SPDX-License-Identifier: MIT
//
// Buffers: the blocks of the disk that are in memory.
//
// I1. A block is in at most one buffer.
// I2. A buffer with references keeps its block, until buf_forget.  References grow from 0 only
//     under the buffers' lock, so a buffer seen with none there can be given to another block.
// I3. A buffer has no lock for its contents: the owner of the block has one (the inode's lock for a
//     file's blocks and its slot in the inode table, the bitmap's lock for the bitmap).  Its sleep
//     lock only makes one thread read it from the disk.
#pragma once

#include "kern/lib/abi.h"
#include "kern/lib/types.h"
#include "kern/sched/sleeplock.h"

// [I] fixed after creation  [b] buffers' lock  [a] atomic  [g] log's lock  [c] see I3
struct buf {
  uint32 block;           // [b] fixed while there are references
  uint32 refs;            // [a]
  bool valid;             // [a] data is the block's
  bool used;              // [a] since the hand of the clock last passed
  bool logged;            // [g] in the transaction being collected
  struct buf *hash_next;  // [b]
  struct buf *ring_next;  // [I]
  uint8 *data;            // [c] BLOCK_SIZE bytes that a device can reach
  struct sleeplock filling;
};

// A thread waits for a buffer without references.  Who sees it does not wait for one while holding
// another, unless in a transaction: many readers could hold all buffers.  [a]
extern bool buf_starved;

// Make the buffers.  Returns 0 or -ENOMEM.  Once.
int buf_init(void);

// Return the number of buffers.
uint32 buf_count(void);

// Return a reference to the block's buffer, with its contents, or NULL on an I/O error.  Waits for
// a buffer and for the disk.
struct buf *buf_get(uint32 block);

// The same, but fill it with zeros instead of reading it; never NULL.  Nobody else uses the block.
// Until log_write they are not its contents: a killed call leaves it to be read.
struct buf *buf_get_zeroed(uint32 block);

// Drop the reference that this thread got from one of them.
void buf_put(struct buf *b);

// Leave the buffer without a block: from now on the block is another buffer's, read from the disk.
void buf_forget(struct buf *b);

// Take a reference that outlives the call; drop one.  Any context.
void buf_hold(struct buf *b);
void buf_drop(struct buf *b);
