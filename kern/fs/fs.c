// SPDX-License-Identifier: MIT
//
// Mounting: the superblock is believed only after every number in it has been checked against the
// others and against the disk.  The areas must lie in the order in which mkfs puts them.
#include "kern/fs/fs.h"

#include "kern/dev/disk.h"
#include "kern/fs/bitmap.h"
#include "kern/fs/buf.h"
#include "kern/fs/inode.h"
#include "kern/fs/log.h"
#include "kern/fs/name.h"
#include "kern/lib/atomic.h"
#include "kern/lib/errno.h"
#include "kern/lib/print.h"
#include "kern/lib/string.h"
#include "kern/sched/held.h"

#define DAMAGE_MESSAGES 16  // more would fill the console

struct fs_geometry fs;

int fs_damage(const char *what, uint32 number) {
  static uint32 messages;  // [a]
  if (!load_relaxed(&fs.dropped) && fetch_add(&messages, 1) < DAMAGE_MESSAGES)
    kprintf("fs: the disk image is damaged: %s %u\n", what, number);
  return -EIO;
}

static uint64 blocks_for(uint64 things, uint64 a_block) {
  return (things + a_block - 1) / a_block;
}

// Return what is wrong with the superblock, or NULL.  Sums are of 64 bits and cannot wrap.
static const char *find_fault(const struct superblock *sb, uint64 disk) {
  uint64 inode_end = sb->inodestart + blocks_for(sb->ninodes, INODES_PER_BLOCK);
  uint64 data = sb->bmapstart + blocks_for(sb->size, BITS_PER_BLOCK);
  if (sb->magic != FS_MAGIC)
    return "the first disk has no file system (wrong magic number)";
  if (sb->size > disk)
    return "the file system is larger than the disk";
  if (sb->ninodes <= ROOT_INO)
    return "the superblock is damaged (no inodes)";
  if (sb->nlog < LOG_OP_MAX + 1)
    return "the log is too small";
  if (sb->logstart < 2 || (uint64)sb->logstart + sb->nlog > sb->inodestart)
    return "the superblock is damaged (log)";
  if (inode_end > sb->bmapstart)
    return "the superblock is damaged (inodes)";
  if (data >= sb->size || data + sb->nblocks > sb->size)
    return "the superblock is damaged (data)";
  return NULL;
}

static void set_geometry(const struct superblock *sb) {
  uint32 most = buf_count() / 2 < LOG_BLOCKS_MAX ? buf_count() / 2 : LOG_BLOCKS_MAX;
  fs.size = sb->size;
  fs.ninodes = sb->ninodes < 65536 ? sb->ninodes : 65536;  // a directory entry has 16 bits
  fs.log_start = sb->logstart;
  fs.log_size = sb->nlog - 1;
  fs.log_capacity = fs.log_size < most ? fs.log_size : most;
  fs.inode_start = sb->inodestart;
  fs.bitmap_start = sb->bmapstart;
  fs.bitmap_blocks = (uint32)blocks_for(sb->size, BITS_PER_BLOCK);
  fs.data_start = fs.bitmap_start + fs.bitmap_blocks;
  fs.epoch = 1;
}

static int read_superblock(const char **why) {
  *why = "the superblock cannot be read";
  struct buf *b = buf_get(1);
  if (!b)
    return -EIO;
  struct superblock sb;
  memcpy(&sb, b->data, sizeof(sb));
  buf_put(b);
  *why = find_fault(&sb, disk_blocks());
  if (*why)
    return -EINVAL;
  set_geometry(&sb);
  return 0;
}

static int check_root(const char **why) {
  *why = "no memory for the root directory";
  int err = inode_get(ROOT_INO, &fs.root);
  if (err < 0)
    return err;
  held_pop(HELD_INODE, fs.root);
  *why = "the root directory is damaged";
  err = inode_lock(fs.root);
  if (err < 0)
    return err;
  bool good = fs.root->disk.type == T_DIR && fs.root->disk.nlink > 0;
  inode_unlock(fs.root);
  return good ? 0 : -EIO;
}

int fs_mount(const char **why) {
  *why = "there is no disk on virtio-mmio";
  if (disk_blocks() < 2)
    return -ENODEV;
  *why = "no memory for buffers";
  int err = buf_init();
  if (err == 0)
    err = read_superblock(why);
  if (err == 0)
    err = log_recover(why);
  if (err < 0)
    return err;
  bitmap_init();
  inode_init();
  name_init();
  err = check_root(why);
  if (err < 0)
    return err;
  *why = "the inodes cannot be read";
  return inode_reclaim_orphans();
}
