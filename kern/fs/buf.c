// SPDX-License-Identifier: MIT
//
// Buffers: a fixed number, found by a hash of the block number, replaced by the clock algorithm.
//
// A look-up takes one spin lock for a few instructions; putting a buffer back is one atomic
// instruction.  Nothing dirty is ever replaced: the log holds a reference to what it will write.
#include "kern/fs/buf.h"

#include "kern/dev/disk.h"
#include "kern/lib/atomic.h"
#include "kern/lib/errno.h"
#include "kern/lib/panic.h"
#include "kern/lib/spinlock.h"
#include "kern/lib/string.h"
#include "kern/sched/held.h"
#include "vm/kmalloc.h"
#include "vm/page.h"

#define BUF_MIN         64
#define BUF_MAX         4096
#define BLOCKS_PER_PAGE (PAGE_SIZE / BLOCK_SIZE)
#define MEMORY_SHARE    64  // buffers take 1/64 of memory

bool buf_starved;

// [I] fixed after buf_init  [b] lock  [a] atomic
static struct {
  struct spinlock lock;
  struct buf **hash;  // [b]
  uint32 hash_mask;   // [I]
  struct buf *hand;   // [b] of the clock
  uint32 count;       // [I]
  struct waitq free;  // [b]
} bufs = {.lock = SPINLOCK_INIT("buffers"), .free = WAITQ_INIT(bufs.free, bufs.lock)};

// Make the buffers of another page.  Returns 0 or -ENOMEM.
static int buf_create_page(void) {
  uint8 *page = page_alloc();
  struct buf *b = kzalloc(BLOCKS_PER_PAGE * sizeof(*b));
  if (!page || !b)
    return -ENOMEM;
  for (uint32 i = 0; i < BLOCKS_PER_PAGE; i++, b++) {
    b->data = page + i * BLOCK_SIZE;
    sleep_init(&b->filling, "buffer");
    b->ring_next = bufs.hand ? bufs.hand->ring_next : b;
    if (bufs.hand)
      bufs.hand->ring_next = b;
    bufs.hand = b;
    bufs.count++;
  }
  return 0;
}

int buf_init(void) {
  uint64 want = page_total() * BLOCKS_PER_PAGE / MEMORY_SHARE;
  want = want < BUF_MIN ? BUF_MIN : want > BUF_MAX ? BUF_MAX : want;
  uint32 buckets = BUF_MIN;
  while (buckets < want)
    buckets *= 2;
  bufs.hash = kzalloc(buckets * sizeof(*bufs.hash));
  if (!bufs.hash)
    return -ENOMEM;
  bufs.hash_mask = buckets - 1;
  while (bufs.count < want)
    if (buf_create_page() < 0)
      return bufs.count >= BUF_MIN ? 0 : -ENOMEM;
  return 0;
}

uint32 buf_count(void) {
  return bufs.count;
}

static struct buf **bucket_of(uint32 block) {
  return &bufs.hash[block & bufs.hash_mask];
}

// Block 0 (the boot block) is never cached, so it marks a buffer that has no block yet.
static void unhash(struct buf *b) {
  if (b->block == 0)
    return;
  struct buf **link = bucket_of(b->block);
  while (*link != b)
    link = &(*link)->hash_next;
  *link = b->hash_next;
}

// Return a buffer without references or recent use, or NULL.  Holds: the buffers' lock.
static struct buf *find_unused(void) {
  assert(spin_holding(&bufs.lock));
  for (uint32 i = 0; i < 2 * bufs.count; i++) {
    struct buf *b = bufs.hand;
    bufs.hand = b->ring_next;
    if (load_acquire(&b->refs) != 0)
      continue;
    if (!b->used)
      return b;
    b->used = false;
  }
  return NULL;
}

// Give the block the buffer of another block.  Returns NULL if all are in use.
static struct buf *replace(uint32 block) {
  struct buf *b = find_unused();
  if (!b)
    return NULL;
  unhash(b);
  b->block = block;
  b->valid = false;
  b->hash_next = *bucket_of(block);
  *bucket_of(block) = b;
  return b;
}

static inline struct buf *buf_find(uint32 block) {
  struct buf *b = *bucket_of(block);
  while (b && b->block != block)
    b = b->hash_next;
  return b;
}

// Give the block a buffer, or wait until it has one.  Holds: the buffers' lock.
static __attribute__((noinline)) struct buf *obtain(uint32 block) {
  assert(spin_holding(&bufs.lock));
  struct buf *b = replace(block);
  while (!b) {
    store_relaxed(&buf_starved, true);
    fence_all();  // before the references are read once more; see buf_put
    if ((b = replace(block)))
      return b;
    waitq_sleep_through(&bufs.free);
    b = buf_find(block);
  }
  return b;
}

// Return a reference to the block's buffer, valid or not.
static inline struct buf *claim(uint32 block) {
  assert(block != 0);
  irq_t irq = spin_lock(&bufs.lock);
  struct buf *b = buf_find(block);
  if (__builtin_expect(!b, 0))
    b = obtain(block);
  buf_hold(b);
  held_push(HELD_BUF, b);
  b->used = true;
  spin_unlock(&bufs.lock, irq);
  return b;
}

// Read the block if no other thread has.  Returns b, or NULL with the reference dropped.
static __attribute__((noinline)) struct buf *buf_fill(struct buf *b) {
  sleep_lock(&b->filling);
  if (!b->valid && disk_read(b->block, b->data) == 0)
    store_release(&b->valid, true);
  bool valid = b->valid;
  sleep_unlock(&b->filling);
  if (valid)
    return b;
  buf_put(b);
  return NULL;
}

struct buf *buf_get(uint32 block) {
  struct buf *b = claim(block);
  return __builtin_expect(load_acquire(&b->valid), 1) ? b : buf_fill(b);
}

struct buf *buf_get_zeroed(uint32 block) {
  struct buf *b = claim(block);
  store_relaxed(&b->valid, false);
  memset(b->data, 0, BLOCK_SIZE);
  return b;
}

void buf_forget(struct buf *b) {
  irq_t irq = spin_lock(&bufs.lock);
  unhash(b);
  b->block = 0;
  spin_unlock(&bufs.lock, irq);
}

void buf_hold(struct buf *b) {
  add_relaxed(&b->refs, 1);
}

static __attribute__((noinline)) void end_famine(void) {
  irq_t irq = spin_lock(&bufs.lock);
  buf_starved = false;
  waitq_wake_all(&bufs.free);
  spin_unlock(&bufs.lock, irq);
}

// Not a call, for buf_put.
static inline void drop(struct buf *b) {
  uint32 before = fetch_sub(&b->refs, 1);
  assert(before > 0);
  if (before == 1 && load_relaxed(&buf_starved))
    end_famine();
}

void buf_drop(struct buf *b) {
  drop(b);
}

void buf_put(struct buf *b) {
  held_pop(HELD_BUF, b);
  drop(b);
}
