// SPDX-License-Identifier: MIT
//
// Inodes: the table of those in use, their life from allocation to the last inode_put, and the
// blocks of a file.
#include "kern/fs/inode.h"

#include "kern/fs/bitmap.h"
#include "kern/fs/buf.h"
#include "kern/fs/fs.h"
#include "kern/fs/log.h"
#include "kern/lib/errno.h"
#include "kern/lib/panic.h"
#include "kern/lib/spinlock.h"
#include "kern/lib/string.h"
#include "kern/sched/held.h"
#include "kern/sched/thread.h"
#include "vm/kmalloc.h"
#include "vm/usercopy.h"

#define TABLE_BUCKETS 64
#define SIZE_MAX_FILE ((uint64)MAXFILE * BLOCK_SIZE)

// The inodes in use, by number.  [l] lock
static struct {
  struct spinlock lock;
  struct list buckets[TABLE_BUCKETS];  // [l]
} inodes = {.lock = SPINLOCK_INIT("inodes")};

// Free slots of the inode table on the disk.  [l] lock
static struct {
  struct sleeplock lock;
  uint32 lowest;  // [l] no slot below is free.  A new epoch begins with all of them
  uint32 epoch;   // [l]
} slots;

void inode_init(void) {
  for (uint32 i = 0; i < TABLE_BUCKETS; i++)
    list_init(&inodes.buckets[i]);
  sleep_init(&slots.lock, "inode slots");
}

// --- References ---

// Holds: inodes.lock.
static struct inode *inode_find(uint32 inum) {
  assert(spin_holding(&inodes.lock));
  list_for_each (node, &inodes.buckets[inum % TABLE_BUCKETS]) {
    struct inode *ip = list_entry(node, struct inode, node);
    if (ip->inum == inum)
      return ip;
  }
  return NULL;
}

int inode_get(uint32 inum, struct inode **out) {
  if (inum == 0 || inum >= fs.ninodes)
    return fs_damage("no such inode", inum);
  irq_t irq = spin_lock(&inodes.lock);
  struct inode *ip = inode_find(inum);
  if (!ip && (ip = kzalloc(sizeof(*ip)))) {
    ip->inum = inum;
    sleep_init(&ip->lock, "inode");
    list_push_front(&inodes.buckets[inum % TABLE_BUCKETS], &ip->node);
  }
  if (ip) {
    ip->refs++;
    held_push(HELD_INODE, ip);
  }
  spin_unlock(&inodes.lock, irq);
  *out = ip;
  return ip ? 0 : -ENOMEM;
}

struct inode *inode_hold(struct inode *ip) {
  irq_t irq = spin_lock(&inodes.lock);
  ip->refs++;
  held_push(HELD_INODE, ip);
  spin_unlock(&inodes.lock, irq);
  return ip;
}

void inode_dup(struct inode *ip, struct inode **at) {
  irq_t irq = spin_lock(&inodes.lock);
  ip->refs++;
  *at = ip;
  spin_unlock(&inodes.lock, irq);
}

static int shrink(struct inode *ip, bool release);

void inode_put(struct inode *ip) {
  if (!ip)
    return;
  assert(!thread_current()->in_transaction && !thread_current()->locks);
  int err = 0;
  irq_t irq = spin_lock(&inodes.lock);
  // The last reference to an inode without links: free it.  Again, because the freed slot can
  // become a new inode, and that an orphan, meanwhile.
  while (err == 0 && ip->refs == 1 && ip->valid && ip->disk.nlink == 0) {
    spin_unlock(&inodes.lock, irq);
    err = shrink(ip, true);
    irq = spin_lock(&inodes.lock);
  }
  assert(ip->refs > 0);
  bool last = --ip->refs == 0;
  held_pop(HELD_INODE, ip);
  if (last)
    list_remove(&ip->node);
  spin_unlock(&inodes.lock, irq);
  if (last)
    kfree(ip);
}

UNDIVIDED void inode_close(struct inode **at) {
  struct inode *ip = *at;
  *at = NULL;
  if (ip)
    held_push(HELD_INODE, ip);
  inode_put(ip);
}

// --- The slot on the disk ---

static struct dinode *slot_in(struct buf *b, uint32 inum) {
  return (struct dinode *)b->data + inum % INODES_PER_BLOCK;
}

static struct buf *slot_buf(uint32 inum) {
  return buf_get(fs.inode_start + inum / INODES_PER_BLOCK);
}

static bool is_sound(const struct dinode *d) {
  if (d->type < T_DIR || d->type > T_DEVICE || d->nlink < 0 || d->size > SIZE_MAX_FILE)
    return false;
  if (d->type == T_DIR && d->size % sizeof(struct dirent) != 0)
    return false;
  for (uint32 i = 0; i <= NDIRECT; i++)
    if (d->addrs[i] != 0 && !fs_is_data(d->addrs[i]))
      return false;
  return true;
}

// xv6's mkfs rounds the size of the root directory up even when it is a whole number of blocks.
// Then there is no last block: take it off the size.
static void trim_directory(struct dinode *d) {
  uint32 last = d->size / BLOCK_SIZE - 1;
  if (d->type == T_DIR && d->size > 0 && d->size % BLOCK_SIZE == 0 &&
      d->addrs[last < NDIRECT ? last : NDIRECT] == 0)
    d->size -= BLOCK_SIZE;
}

static int load(struct inode *ip) {
  uint32 epoch = load_acquire(&fs.epoch);  // before what it may be too old for
  if (ip->inum == 0) {                     // file_console's has no slot
    ip->valid = epoch;
    return 0;
  }
  struct buf *b = slot_buf(ip->inum);
  if (!b)
    return -EIO;
  memcpy(&ip->disk, slot_in(b, ip->inum), sizeof(ip->disk));
  buf_put(b);
  if (ip->disk.type == 0)
    return -ENOENT;
  if (!is_sound(&ip->disk))
    return fs_damage("bad inode", ip->inum);
  trim_directory(&ip->disk);
  ip->valid = epoch;
  return 0;
}

int inode_lock(struct inode *ip) {
  sleep_lock(&ip->lock);
  if (__builtin_expect(ip->valid == load_acquire(&fs.epoch), 1))
    return 0;
  int err = load(ip);
  if (err < 0)
    sleep_unlock(&ip->lock);
  return err;
}

void inode_update(struct inode *ip) {
  assert(sleep_holding(&ip->lock));
  struct buf *b = slot_buf(ip->inum);
  if (!b) {
    log_fail("an inode cannot be written");
    return;
  }
  log_write(b);
  memcpy(slot_in(b, ip->inum), &ip->disk, sizeof(ip->disk));
  buf_put(b);
  if (load_relaxed(&fs.dropped))
    ip->valid = 0;
}

// Move slots.lowest on to a free slot; *home gets a reference to its block.  Holds: slots.lock.
static int find_slot(struct buf **home) {
  assert(sleep_holding(&slots.lock));
  if (slots.epoch != load_acquire(&fs.epoch)) {
    slots.epoch = load_relaxed(&fs.epoch);
    slots.lowest = ROOT_INO;
  }
  for (; slots.lowest < fs.ninodes; slots.lowest++) {
    *home = slot_buf(slots.lowest);
    if (!*home)
      return -EIO;
    if (slot_in(*home, slots.lowest)->type == 0)
      return 0;
    buf_put(*home);
  }
  return -ENOSPC;
}

static void free_slot(struct inode *ip) {
  sleep_lock(&slots.lock);
  memset(&ip->disk, 0, sizeof(ip->disk));
  inode_update(ip);
  ip->valid = 0;
  if (ip->inum < slots.lowest)
    slots.lowest = ip->inum;
  sleep_unlock(&slots.lock);
}

int inode_alloc(short type, short major, short minor, struct inode **out) {
  struct dinode d = {.type = type, .major = major, .minor = minor};
  struct buf *home;
  sleep_lock(&slots.lock);
  int err = find_slot(&home);
  if (err == 0) {
    err = inode_get(slots.lowest, out);
    if (err == 0) {
      log_write(home);
      *slot_in(home, slots.lowest) = d;
    }
    buf_put(home);
  }
  sleep_unlock(&slots.lock);
  if (err < 0 || sleep_holding(&(*out)->lock))  // free once changes were given up
    return err < 0 ? err : -EIO;
  sleep_lock(&(*out)->lock);
  (*out)->disk = d;
  (*out)->valid = load_relaxed(&fs.epoch);
  return 0;
}

// --- The blocks of a file ---

// Get the block whose number is in *slot; if it has none and the file grows, allocate one.
static inline int get_data(uint32 *slot, bool grows, struct buf **b) {
  if (grows && *slot == 0) {
    int err = bitmap_alloc(b);
    if (err == 0)
      *slot = (*b)->block;
    return err;
  }
  if (!fs_is_data(*slot))
    return fs_damage("no data block", *slot);
  *b = buf_get(*slot);
  return *b ? 0 : -EIO;
}

// Like inode_block, but where the file grows, allocate what is missing, which may change the inode.
// If it grows, or if keep is set and no thread lacks a buffer, the indirect block is kept in
// *indirect for the next call.
static inline int walk_block(struct inode *ip, uint32 index, bool grows, bool keep,
                             struct buf **indirect, struct buf **b) {
  if (index < NDIRECT)
    return get_data(&ip->disk.addrs[index], grows, b);
  int err = *indirect ? 0 : get_data(&ip->disk.addrs[NDIRECT], grows, indirect);
  if (err < 0)
    return err;
  uint32 *slot = (uint32 *)(*indirect)->data + index - NDIRECT, number = *slot;
  if (grows && number == 0)
    log_write(*indirect);
  if (!grows && (!keep || load_relaxed(&buf_starved))) {
    buf_put(*indirect);
    *indirect = NULL;
  }
  return get_data(grows ? slot : &number, grows, b);
}

int inode_block(struct inode *ip, uint32 index, struct buf **b) {
  assert(sleep_holding(&ip->lock));
  return walk_block(ip, index, false, false, &(struct buf *){NULL}, b);
}

// --- Reading and writing ---

enum way { TO_KERNEL, TO_USER, OVER, GROW };  // the last two: from the kernel to the file

// Move n bytes between memory and the file at off, or read those that there are.  Returns how many,
// those written before an error, or the error.
static int64 inode_move(struct inode *ip, enum way way, uint64 memory, uint64 off, uint64 n) {
  assert(sleep_holding(&ip->lock));
  uint64 there = off < ip->disk.size ? ip->disk.size - off : 0;
  if (way < OVER && n > there)
    n = there;
  struct buf *indirect = NULL, *b;
  uint64 at = off, end = off + n, step;
  int err = 0;
  for (; at < end && err == 0; at += step, memory += step) {
    err = walk_block(ip, (uint32)(at / BLOCK_SIZE), way == GROW, true, &indirect, &b);
    if (err < 0)
      break;
    uint8 *data = b->data + at % BLOCK_SIZE;
    step = BLOCK_SIZE - at % BLOCK_SIZE;
    step = step < end - at ? step : end - at;
    if (way == TO_USER) {
      err = copy_to_user(memory, data, step);
    } else if (way == TO_KERNEL) {
      memcpy((void *)memory, data, step);
    } else {
      log_write(b);
      memcpy(data, (void *)memory, step);
    }
    buf_put(b);
  }
  if (indirect)
    buf_put(indirect);
  return err < 0 && (way < OVER || at == off) ? err : (int64)(at - off);
}

int64 inode_read(struct inode *ip, void *dst, uint64 off, uint64 n) {
  return inode_move(ip, TO_KERNEL, (uint64)dst, off, n);
}

int64 inode_read_user(struct inode *ip, uva_t dst, uint64 off, uint64 n) {
  return inode_move(ip, TO_USER, dst, off, n);
}

// Return n cut to what one transaction can write, and to the largest file.  Beside blocks of the
// file it changes the inode, the indirect block, one block of the caller's, and of the bitmap at
// most all, or one for each of these blocks and the indirect one.
static uint64 clip_write(uint64 off, uint64 n) {
  uint32 room = LOG_OP_MAX - 3, spread = (room - 1) / 2;
  uint32 blocks = fs.bitmap_blocks > spread ? spread : room - fs.bitmap_blocks;
  uint64 end = ROUND_DOWN(off, BLOCK_SIZE) + blocks * BLOCK_SIZE;
  if (end > SIZE_MAX_FILE)
    end = SIZE_MAX_FILE;
  return n < end - off ? n : end - off;
}

int64 inode_write(struct inode *ip, const void *src, uint64 off, uint64 n) {
  assert(sleep_holding(&ip->lock));
  if (off > ip->disk.size)
    return -EINVAL;
  if (off >= SIZE_MAX_FILE && n > 0)
    return -EFBIG;
  n = clip_write(off, n);
  bool grows = off + n > ip->disk.size;
  int64 done = inode_move(ip, grows ? GROW : OVER, (uint64)src, off, n);
  if (!grows)
    return done;
  if (done > 0 && off + (uint64)done > ip->disk.size)
    ip->disk.size = (uint32)(off + (uint64)done);
  inode_update(ip);
  return done;
}

// --- Truncation ---

// Free the block whose number is in *slot if its bit is in the block *home of the bitmap, which the
// first one sets.  Returns whether there is none any more.
static bool free_data(uint32 *slot, uint32 *home) {
  if (*slot == 0)
    return true;
  uint32 its = bitmap_home(*slot);
  *home = *home ? *home : its;
  if (*home != its)
    return false;
  bitmap_free(*slot);
  *slot = 0;
  return true;
}

static bool free_indirect(struct inode *ip, uint32 *home) {
  if (ip->disk.addrs[NDIRECT] == 0)
    return true;
  struct buf *b = NULL;
  if (get_data(&ip->disk.addrs[NDIRECT], false, &b) < 0) {
    log_fail("an indirect block cannot be read");
    return true;
  }
  bool all = true;
  log_write(b);
  for (uint32 i = 0; i < NINDIRECT; i++)
    all &= free_data((uint32 *)b->data + i, home);
  buf_put(b);
  return all && free_data(&ip->disk.addrs[NDIRECT], home);
}

// Free those that have their bits in one block of the bitmap: what one transaction frees.  Returns
// whether none is left.
static bool free_blocks(struct inode *ip) {
  uint32 home = 0;
  ip->disk.size = 0;
  bool all = free_indirect(ip, &home);
  for (uint32 i = 0; i < NDIRECT; i++)
    all &= free_data(&ip->disk.addrs[i], &home);
  inode_update(ip);
  return all;
}

// Free all blocks, and then the inode itself if it is to be released.
static int shrink(struct inode *ip, bool release) {
  bool all = false;
  int err = 0;
  while (err == 0 && !all) {
    err = log_begin();
    if (err < 0)
      return err;
    err = inode_lock(ip);
    if (err == 0) {
      bool linked = release && ip->disk.nlink > 0;  // again, once the unlinking was undone
      all = linked || free_blocks(ip);
      if (all && release && !linked)
        free_slot(ip);
      inode_unlock(ip);
    }
    int end = log_end();
    err = err < 0 ? err : end;
  }
  return err;
}

int inode_truncate(struct inode *ip) {
  return shrink(ip, false);
}

int inode_reclaim_orphans(void) {
  for (uint32 i = ROOT_INO; i < fs.ninodes; i++) {
    struct buf *b = slot_buf(i);
    if (!b)
      return -EIO;
    struct dinode *d = slot_in(b, i);
    bool orphan = d->type != 0 && d->nlink == 0;
    buf_put(b);
    if (!orphan)
      continue;
    struct inode *ip;
    int err = inode_get(i, &ip);
    if (err < 0)
      return err;
    if (inode_lock(ip) == 0)  // loads it, so that inode_put sees that it has no links
      inode_unlock(ip);
    inode_put(ip);
  }
  return 0;
}
