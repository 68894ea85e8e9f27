// SPDX-License-Identifier: MIT
#include "test/host/fs_image.h"

#include <string.h>

static uint8 refs[DISK_MAX];
static uint32 links[65536];
static bool seen[65536];

struct superblock *image_super(void) {
  return (struct superblock *)disk->current[1];
}

struct dinode *image_inode(uint32 inum) {
  return (struct dinode *)disk->current[image_super()->inodestart + inum / INODES_PER_BLOCK] +
         inum % INODES_PER_BLOCK;
}

static bool bit(uint32 block) {
  return disk->current[image_super()->bmapstart + block / BITS_PER_BLOCK]
                      [block % BITS_PER_BLOCK / 8] >>
             block % 8 &
         1;
}

static uint32 data_start(void) {
  struct superblock *sb = image_super();
  return sb->bmapstart + (sb->size + BITS_PER_BLOCK - 1) / BITS_PER_BLOCK;
}

void image_make(uint32 blocks, uint32 ninodes, uint32 nlog) {
  disk_fresh(blocks);
  struct superblock *sb = image_super();
  *sb = (struct superblock){.magic = FS_MAGIC, .size = blocks, .ninodes = ninodes, .nlog = nlog};
  sb->logstart = 2;
  sb->inodestart = 2 + nlog;
  sb->bmapstart = sb->inodestart + ninodes / (uint32)INODES_PER_BLOCK + 1;
  uint32 data = data_start();
  sb->nblocks = blocks - data;
  for (uint32 b = 0; b <= data; b++)
    disk->current[sb->bmapstart + b / BITS_PER_BLOCK][b % BITS_PER_BLOCK / 8] |=
        (uint8)(1 << b % 8);
  struct dirent *root = (struct dirent *)disk->current[data];
  root[0] = (struct dirent){.inum = ROOT_INO, .name = "."};
  root[1] = (struct dirent){.inum = ROOT_INO, .name = ".."};
  *image_inode(ROOT_INO) =
      (struct dinode){.type = T_DIR, .nlink = 1, .size = BLOCK_SIZE, .addrs = {data}};
  memcpy(disk->durable, disk->current, blocks * BLOCK_SIZE);
}

static uint32 block_of(const struct dinode *d, uint32 index) {
  if (index < NDIRECT)
    return d->addrs[index];
  return d->addrs[NDIRECT] ? ((uint32 *)disk->current[d->addrs[NDIRECT]])[index - NDIRECT] : 0;
}

static const char *claim(uint32 block) {
  if (block == 0)
    return NULL;
  if (block < data_start() || block >= image_super()->size)
    return "block out of range";
  if (refs[block]++)
    return "block used twice";
  return bit(block) ? NULL : "block in use is free in the bitmap";
}

static const char *check_blocks(const struct dinode *d) {
  const char *bad = claim(d->addrs[NDIRECT]);
  for (uint32 i = 0; !bad && i < MAXFILE; i++) {
    bad = claim(block_of(d, i));
    if (!bad && i * BLOCK_SIZE < d->size && block_of(d, i) == 0)
      bad = "hole";
  }
  return bad;
}

static const char *check_directory(uint32 inum, uint32 parent);

static const char *check_entry(const struct dirent *e, uint32 at, uint32 inum, uint32 parent) {
  if (e->inum == 0)
    return NULL;
  const struct dinode *d = image_inode(e->inum);
  if (e->inum >= image_super()->ninodes || d->type == 0)
    return "entry of a free inode";
  if (at < 2) {
    if (strcmp(e->name, at ? ".." : ".") || e->inum != (at ? parent : inum))
      return "bad dots";
    links[e->inum] += at ? 1 : 0;
    return NULL;
  }
  links[e->inum]++;
  if (seen[e->inum])
    return d->type == T_DIR ? "directory with two names" : NULL;
  seen[e->inum] = true;
  const char *bad = check_blocks(d);
  return bad || d->type != T_DIR ? bad : check_directory(e->inum, inum);
}

static const char *check_directory(uint32 inum, uint32 parent) {
  const struct dinode *d = image_inode(inum);
  if (d->size % sizeof(struct dirent))
    return "directory of odd size";
  for (uint32 i = 0; i < d->size / sizeof(struct dirent); i++) {
    const struct dirent *e = (struct dirent *)disk->current[block_of(d, i / 64)] + i % 64;
    const char *bad = check_entry(e, i, inum, parent);
    if (bad)
      return bad;
  }
  return NULL;
}

const char *image_check(void) {
  struct superblock *sb = image_super();
  memset(refs, 0, sb->size * sizeof(*refs));
  memset(links, 0, sb->ninodes * sizeof(*links));
  memset(seen, 0, sb->ninodes * sizeof(*seen));
  if (*(uint32 *)disk->current[sb->logstart])
    return "log not empty";
  seen[ROOT_INO] = true;
  const char *bad = check_blocks(image_inode(ROOT_INO));
  if (!bad)
    bad = check_directory(ROOT_INO, ROOT_INO);
  for (uint32 i = ROOT_INO; !bad && i < sb->ninodes; i++) {
    const struct dinode *d = image_inode(i);
    if (d->type && !seen[i])
      bad = "inode in use that nothing names";
    // A directory counts its name and its children's "..", but not the root's own.
    else if (d->type && links[i] != (uint32)d->nlink)
      bad = "wrong link count";
  }
  for (uint32 b = data_start(); !bad && b < sb->size; b++)
    if (bit(b) && !refs[b])
      bad = "block in use that nothing refers to";
  return bad;
}

static uint64 mix(uint64 hash, const void *data, uint64 n) {
  for (uint64 i = 0; i < n; i++)
    hash = (hash ^ ((const uint8 *)data)[i]) * 0x100000001b3;
  return hash;
}

static uint64 digest(uint32 inum, bool directory) {
  const struct dinode *d = image_inode(inum);
  uint64 hash = mix(0xcbf29ce484222325, &d->type, 8);
  hash = mix(hash, &d->size, 4);
  for (uint32 at = 0; at < d->size; at += BLOCK_SIZE) {
    uint32 n = d->size - at < BLOCK_SIZE ? d->size - at : BLOCK_SIZE;
    hash = mix(hash, disk->current[block_of(d, at / BLOCK_SIZE)], n);
  }
  for (uint32 i = 2; directory && i < d->size / sizeof(struct dirent); i++) {
    const struct dirent *e = (struct dirent *)disk->current[block_of(d, i / 64)] + i % 64;
    if (e->inum) {
      uint64 child = digest(e->inum, image_inode(e->inum)->type == T_DIR);
      hash = mix(hash, &child, sizeof(child));
    }
  }
  return hash;
}

uint64 image_digest(void) {
  return digest(ROOT_INO, true);
}

uint32 image_free_blocks(void) {
  uint32 n = 0;
  for (uint32 b = data_start(); b < image_super()->size; b++)
    n += !bit(b);
  return n;
}
