// SPDX-License-Identifier: MIT
//
// mkfs [-s blocks] [-i inodes] [-l log-blocks] IMAGE [file...]: make a file-system image.
//
// A file's name is its last path component without a leading '_'.  The image is built in memory and
// appears under its name at once, or not at all.  Runs on the host.
//
// kern/lib/abi.h describes the layout; it has a struct stat and O_ flags of its own, so only
// headers of standard C fit beside it.

#include "kern/lib/abi.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the disk format is little-endian");
_Static_assert(sizeof(struct dinode) == 64, "layout of an inode");

#define ENTRIES_PER_BLOCK (BLOCK_SIZE / sizeof(struct dirent))
#define SIZE_LIMIT        (1u << 21)  // blocks; 2 GiB are enough to hold in memory
#define INODES_LIMIT      65535u      // a directory entry has 16 bits

static unsigned char *image;  // all blocks
static struct superblock sb;
static uint32_t next_block, next_inode = ROOT_INO;

static void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "mkfs: ");
  vfprintf(stderr, format, args);
  fprintf(stderr, "\n");
  va_end(args);
  exit(1);
}

static void *block(uint32_t n) {
  return image + (size_t)n * BLOCK_SIZE;
}

static struct dinode *inode(uint32_t n) {
  struct dinode *d = block(sb.inodestart + n / INODES_PER_BLOCK);
  return d + n % INODES_PER_BLOCK;
}

static void bitmap_set(uint32_t n) {
  unsigned char *map = block(sb.bmapstart + n / BITS_PER_BLOCK);
  map[n % BITS_PER_BLOCK / 8] |= (unsigned char)(1 << n % 8);
}

// --- making ---

static void lay_out(uint32_t size, uint32_t inodes, uint32_t log) {
  uint32_t inode_blocks = inodes / (uint32_t)INODES_PER_BLOCK + 1;
  uint32_t bitmap_blocks = size / BITS_PER_BLOCK + 1;
  uint32_t meta = 2 + log + inode_blocks + bitmap_blocks;
  if (meta >= size)
    fail("%u blocks are too few: the tables alone take %u", size, meta);
  sb = (struct superblock){
      .magic = FS_MAGIC,
      .size = size,
      .nblocks = size - meta,
      .ninodes = inodes,
      .nlog = log,
      .logstart = 2,
      .inodestart = 2 + log,
      .bmapstart = 2 + log + inode_blocks,
  };
  image = calloc(size, BLOCK_SIZE);
  if (!image)
    fail("no memory for %u blocks", size);
  memcpy(block(1), &sb, sizeof(sb));
  next_block = meta;
}

static uint32_t take_block(const char *name) {
  if (next_block >= sb.size)
    fail("%s: the image is full (%u blocks; -s gives it more)", name, sb.size);
  return next_block++;
}

static uint32_t take_inode(const char *name, short type) {
  if (next_inode >= sb.ninodes)
    fail("%s: too many files (%u inodes; -i gives more)", name, sb.ninodes);
  inode(next_inode)->type = type;
  inode(next_inode)->nlink = 1;
  return next_inode++;
}

// Add one block to the end of an inode whose size is a whole number of blocks.
static void *grow(struct dinode *d, const char *name) {
  uint32_t n = d->size / BLOCK_SIZE;
  if (n >= MAXFILE)
    fail("%s: too large (a file has at most %d bytes)", name, MAXFILE * BLOCK_SIZE);
  uint32_t *slot = &d->addrs[n];
  if (n >= NDIRECT) {
    if (d->addrs[NDIRECT] == 0)
      d->addrs[NDIRECT] = take_block(name);
    slot = (uint32_t *)block(d->addrs[NDIRECT]) + (n - NDIRECT);
  }
  *slot = take_block(name);
  return block(*slot);
}

static void add_entry(uint32_t inum, const char *name) {
  static struct dirent *room;  // the root's last block
  struct dinode *root = inode(ROOT_INO);
  uint32_t n = root->size / sizeof(struct dirent) % ENTRIES_PER_BLOCK;
  if (n == 0)
    room = grow(root, name);
  room[n].inum = (unsigned short)inum;
  memcpy(room[n].name, name, strlen(name));  // the rest is zero
  root->size += sizeof(struct dirent);
}

static const char *name_of(const char *path) {
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  return *name == '_' ? name + 1 : name;
}

static void check_name(const char *path, char *const earlier[], int count) {
  const char *name = name_of(path);
  if (*name == 0 || strlen(name) > DIRSIZ)
    fail("%s: a name has 1 to %d characters", path, DIRSIZ);
  for (int i = 0; i < count; i++)
    if (strcmp(name, name_of(earlier[i])) == 0)
      fail("%s and %s have the same name in the image", earlier[i], path);
}

static void add_file(const char *path) {
  char buf[BLOCK_SIZE];
  FILE *f = fopen(path, "rb");
  if (!f)
    fail("cannot open %s", path);
  uint32_t inum = take_inode(path, T_FILE);
  struct dinode *d = inode(inum);
  size_t n;
  while ((n = fread(buf, 1, sizeof(buf), f)) > 0) {
    memcpy(grow(d, path), buf, n);
    d->size += (uint32_t)n;
  }
  if (ferror(f))
    fail("cannot read %s", path);
  fclose(f);
  add_entry(inum, name_of(path));
}

static void write_image(const char *path) {
  size_t length = strlen(path) + sizeof(".tmp");
  char *temporary = malloc(length);
  if (!temporary)
    fail("no memory");
  snprintf(temporary, length, "%s.tmp", path);
  FILE *f = fopen(temporary, "wb");
  if (!f)
    fail("cannot create %s", temporary);
  bool written = fwrite(image, BLOCK_SIZE, sb.size, f) == sb.size;
  if (fclose(f) != 0 || !written || rename(temporary, path) != 0) {
    remove(temporary);
    fail("cannot write %s", path);
  }
  free(temporary);
}

static void make(const char *path, char *const files[], int count) {
  uint32_t root = take_inode("/", T_DIR);
  add_entry(root, ".");
  add_entry(root, "..");
  for (int i = 0; i < count; i++) {
    check_name(files[i], files, i);
    add_file(files[i]);
  }
  for (uint32_t n = 0; n < next_block; n++)
    bitmap_set(n);
  write_image(path);
}

// --- options ---

static uint32_t number(const char *text, const char *option, uint32_t least, uint32_t most) {
  char *end;
  unsigned long n = text ? strtoul(text, &end, 0) : 0;
  if (!text || *text == 0 || *text == '-' || *end || n < least || n > most)
    fail("%s wants a number from %u to %u", option, least, most);
  return (uint32_t)n;
}

static _Noreturn void usage(void) {
  fail("usage: mkfs [-s blocks] [-i inodes] [-l log-blocks] IMAGE [file...]");
}

int main(int argc, char *argv[]) {
  uint32_t size = 2000, inodes = 200, log = 30;
  int i = 1;
  for (; i < argc && argv[i][0] == '-'; i += 2) {
    const char *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(argv[i], "-s") == 0)
      size = number(value, "-s", 8, SIZE_LIMIT);
    else if (strcmp(argv[i], "-i") == 0)
      inodes = number(value, "-i", 2, INODES_LIMIT);
    else if (strcmp(argv[i], "-l") == 0)
      log = number(value, "-l", LOG_OP_MAX + 1, LOG_BLOCKS_MAX + 1);
    else
      usage();
  }
  if (i >= argc)
    usage();
  lay_out(size, inodes, log);
  make(argv[i], argv + i + 1, argc - i - 1);
  return 0;
}
