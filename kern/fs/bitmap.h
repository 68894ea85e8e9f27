// SPDX-License-Identifier: MIT
//
// Which data blocks are in use.
#pragma once

#include "kern/lib/types.h"

struct buf;

// Boot only.
void bitmap_init(void);

// Take a free block and fill it with zeros; returns its buffer in *b.  Changes two blocks of the
// open transaction.  Returns 0, -ENOSPC or -EIO (nothing changed).
int bitmap_alloc(struct buf **b);

// Give the block back.  Changes one block of the open transaction: bitmap_home(block).
void bitmap_free(uint32 block);

// Return which block of the bitmap has the block's bit.
uint32 bitmap_home(uint32 block);
