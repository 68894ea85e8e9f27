// SPDX-License-Identifier: MIT
//
// The disk: the first virtio-blk device, legacy or modern, in blocks of BLOCK_SIZE.
// Virtio 1.2, 5.2.
#pragma once

#include "kern/lib/types.h"

// Find and start the device.  Returns 0, or -ENODEV when there is none.  Boot hart.
int disk_init(void);

// Blocks on the disk; 0: no disk.
uint64 disk_blocks(void);

// Transfer one block; data is memory that a device may use (kmalloc, page_alloc).  After a power
// cut each sector of a write that was not flushed is old or new, never mixed.  Sleeps.  Returns 0,
// -EIO, or -EROFS.
int disk_read(uint64 block, void *data);
int disk_write(uint64 block, const void *data);

// Write n blocks, in any order, several at a time.  Sleeps.  Returns as disk_write does.
struct disk_block {
  uint64 block;
  const void *data;
};
int disk_write_all(const struct disk_block *list, uint32 n);

// Make all earlier writes durable.  A device that cannot flush has no cache to lose.  Sleeps.
// Returns 0 or -EIO.
int disk_flush(void);
