// SPDX-License-Identifier: MIT
//
// Which data blocks are in use: one bit a block, first fit.
//
// I1. No block below `lowest` is free.  A new epoch (kern/fs/fs.h) begins with all of them.
// I2. Only blocks of the data area are taken or given back, whatever the bitmap says.
#include "kern/fs/bitmap.h"

#include "kern/fs/buf.h"
#include "kern/fs/fs.h"
#include "kern/fs/log.h"
#include "kern/lib/atomic.h"
#include "kern/lib/errno.h"
#include "kern/lib/panic.h"
#include "kern/sched/sleeplock.h"

// [l] lock, which also guards the contents of the bitmap's blocks
static struct {
  struct sleeplock lock;
  uint32 lowest;  // [l] see I1
  uint32 epoch;   // [l]
} bitmap;

void bitmap_init(void) {
  sleep_init(&bitmap.lock, "bitmap");
}

uint32 bitmap_home(uint32 block) {
  return fs.bitmap_start + block / BITS_PER_BLOCK;
}

// Return the first clear bit in [from, to), or to.  Images are little-endian, and so are we.
static uint32 find_clear(const uint64 *words, uint32 from, uint32 to) {
  while (from < to) {
    uint64 clear = ~words[from / 64] >> (from % 64);
    if (clear) {
      from += (uint32)__builtin_ctzl(clear);
      return from < to ? from : to;
    }
    from = (uint32)ROUND_DOWN(from + 64, 64);
  }
  return to;
}

// Move bitmap.lowest on to a free block; *home gets a reference to its block of the bitmap.
// Holds: the lock.
static int find_free(struct buf **home) {
  assert(sleep_holding(&bitmap.lock));
  if (bitmap.epoch != load_acquire(&fs.epoch)) {
    bitmap.epoch = load_relaxed(&fs.epoch);
    bitmap.lowest = fs.data_start;
  }
  while (bitmap.lowest < fs.size) {
    *home = buf_get(bitmap_home(bitmap.lowest));
    if (!*home)
      return -EIO;
    uint32 base = (uint32)ROUND_DOWN(bitmap.lowest, BITS_PER_BLOCK);
    uint32 bits = fs.size - base < BITS_PER_BLOCK ? fs.size - base : BITS_PER_BLOCK;
    uint32 bit = find_clear((const uint64 *)(*home)->data, bitmap.lowest - base, bits);
    bitmap.lowest = base + bit;
    if (bit < bits)
      return 0;
    buf_put(*home);
  }
  return -ENOSPC;
}

int bitmap_alloc(struct buf **b) {
  struct buf *home;
  sleep_lock(&bitmap.lock);
  int err = find_free(&home);
  if (err == 0) {
    uint32 block = bitmap.lowest++;
    *b = buf_get_zeroed(block);
    log_write(home);
    log_write(*b);
    home->data[block % BITS_PER_BLOCK / 8] |= (uint8)(1 << block % 8);
    buf_put(home);
  }
  sleep_unlock(&bitmap.lock);
  return err;
}

void bitmap_free(uint32 block) {
  if (!fs_is_data(block)) {
    fs_damage("freed, but no data: block", block);
    return;
  }
  sleep_lock(&bitmap.lock);
  struct buf *home = buf_get(bitmap_home(block));
  if (home) {
    uint8 *byte = &home->data[block % BITS_PER_BLOCK / 8];
    uint8 bit = (uint8)(1 << block % 8);
    if (!(*byte & bit))
      fs_damage("freed twice: block", block);
    log_write(home);
    *byte &= (uint8)~bit;
    buf_put(home);
    if (block < bitmap.lowest)
      bitmap.lowest = block;
  } else {
    log_fail("the bitmap cannot be read");
  }
  sleep_unlock(&bitmap.lock);
}
