// SPDX-License-Identifier: MIT
//
// mkfs [-s blocks] [-i inodes] [-l log-blocks] IMAGE [file...]: make a file-system image.
// mkfs -c IMAGE: check one, a committed log replayed first (in memory only).
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
static int problems;  // that the check has found

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

static uint32_t blocks_for(uint64_t bytes) {
  return (uint32_t)((bytes + BLOCK_SIZE - 1) / BLOCK_SIZE);
}

static bool bitmap_get(uint32_t n) {
  const unsigned char *map = block(sb.bmapstart + n / BITS_PER_BLOCK);
  return map[n % BITS_PER_BLOCK / 8] >> (n % 8) & 1;
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

// --- checking ---

// What the check has learnt of an inode.
struct seen {
  uint32_t links;   // entries that name it, "." left out
  uint32_t parent;  // of a directory: the directory that has its entry
  uint32_t dotdot;  // of a directory
};

static struct seen *seen;      // by inode
static uint32_t *block_owner;  // by block: the inode that uses it

static void problem(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void problem(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vprintf(format, args);
  printf("\n");
  va_end(args);
  problems++;
}

static void read_image(const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f)
    fail("cannot open %s", path);
  if (fseek(f, 0, SEEK_END) != 0)
    fail("cannot read %s", path);
  long size = ftell(f);
  rewind(f);
  if (size < 2 * BLOCK_SIZE || size / BLOCK_SIZE > SIZE_LIMIT)
    fail("%s: %ld bytes are no file system", path, size);
  image = malloc((size_t)size);
  if (!image || fread(image, 1, (size_t)size, f) != (size_t)size)
    fail("cannot read %s", path);
  fclose(f);
  memcpy(&sb, block(1), sizeof(sb));
  if (sb.magic != FS_MAGIC)
    fail("%s: wrong magic 0x%x in the superblock", path, sb.magic);
  if (sb.size > size / BLOCK_SIZE)
    fail("%s: the superblock says %u blocks, the file has %ld", path, sb.size, size / BLOCK_SIZE);
}

// Every region in its place, none over another.
static void check_geometry(void) {
  uint64_t data = (uint64_t)sb.size - sb.nblocks;
  uint64_t log_end = (uint64_t)sb.logstart + sb.nlog;
  uint64_t inode_end = sb.inodestart + (uint64_t)sb.ninodes / INODES_PER_BLOCK + 1;
  uint64_t bitmap_end = sb.bmapstart + (uint64_t)sb.size / BITS_PER_BLOCK + 1;
  if (sb.size > SIZE_LIMIT || sb.nblocks >= sb.size || sb.ninodes > INODES_LIMIT ||
      sb.ninodes <= ROOT_INO || sb.logstart < 2 || sb.nlog < 2 || log_end > sb.inodestart ||
      inode_end > sb.bmapstart || bitmap_end > data)
    fail("the superblock makes no sense: size %u, nblocks %u, ninodes %u, nlog %u, log at %u, "
         "inodes at %u, bitmap at %u",
         sb.size, sb.nblocks, sb.ninodes, sb.nlog, sb.logstart, sb.inodestart, sb.bmapstart);
}

static void replay_log(void) {
  const uint32_t *header = block(sb.logstart);
  if (header[0] >= sb.nlog)
    fail("the log says %u blocks, it has room for %u", header[0], sb.nlog - 1);
  if (header[0] > LOG_BLOCKS_MAX)
    fail("the log's header names %u blocks in two sectors, and one may be old: recover it where it "
         "was written",
         header[0]);
  for (uint32_t i = 0; i < header[0]; i++) {
    uint32_t home = header[1 + i];
    if (home < sb.inodestart || home >= sb.size)
      fail("the log has a copy of block %u", home);
    memcpy(block(home), block(sb.logstart + 1 + i), BLOCK_SIZE);
  }
  if (header[0] > 0)
    printf("note: %u blocks came from the log\n", header[0]);
}

// Take block n into use for the inode.  Returns whether it may be looked into.
static bool claim(uint32_t n, uint32_t inum) {
  if (n < sb.size - sb.nblocks || n >= sb.size) {
    problem("inode %u: block %u is outside the data area", inum, n);
    return false;
  }
  if (block_owner[n] != 0)
    problem("inode %u: block %u belongs to inode %u too", inum, n, block_owner[n]);
  block_owner[n] = inum;
  return true;
}

// Return the inode's n-th block number, 0 if there is none.
static uint32_t block_at(const struct dinode *d, uint32_t n) {
  if (n < NDIRECT)
    return d->addrs[n];
  uint32_t table = d->addrs[NDIRECT];
  return table && table < sb.size ? ((uint32_t *)block(table))[n - NDIRECT] : 0;
}

// A directory may lack its last block: xv6's mkfs rounds the size of the root up even when its
// entries fill whole blocks.
static void check_blocks(uint32_t inum) {
  const struct dinode *d = inode(inum);
  uint32_t used = blocks_for(d->size);
  if (used > MAXFILE) {
    problem("inode %u: %u bytes are too many", inum, d->size);
    return;
  }
  if (d->addrs[NDIRECT] && !claim(d->addrs[NDIRECT], inum))
    return;
  for (uint32_t n = 0; n < MAXFILE; n++) {
    uint32_t b = block_at(d, n);
    if (b)
      claim(b, inum);
    else if (n < used && (d->type != T_DIR || n == 0 || n + 1 < used))
      problem("inode %u: block %u of the file is missing", inum, n);
  }
}

static void check_inode(uint32_t inum) {
  const struct dinode *d = inode(inum);
  if (d->type == 0)
    return;
  if (d->type < T_DIR || d->type > T_DEVICE)
    problem("inode %u: type %d", inum, d->type);
  if (d->nlink < 0)
    problem("inode %u: %d links", inum, d->nlink);
  check_blocks(inum);
}

static struct dirent *entry_at(const struct dinode *d, uint32_t i) {
  uint32_t b = block_at(d, i / (uint32_t)ENTRIES_PER_BLOCK);
  if (b == 0 || b >= sb.size)
    return NULL;
  return (struct dirent *)block(b) + i % ENTRIES_PER_BLOCK;
}

static bool entry_is(const struct dirent *e, const char *name) {
  return strncmp(e->name, name, DIRSIZ) == 0;
}

static void check_name_twice(uint32_t dir, uint32_t i) {
  const struct dirent *e = entry_at(inode(dir), i);
  for (uint32_t j = 0; j < i; j++) {
    const struct dirent *other = entry_at(inode(dir), j);
    if (other && other->inum && strncmp(e->name, other->name, DIRSIZ) == 0)
      problem("directory %u: the name %.14s is there twice", dir, e->name);
  }
}

static void check_entry(uint32_t dir, uint32_t i) {
  const struct dirent *e = entry_at(inode(dir), i);
  if (!e || e->inum == 0)
    return;
  if (e->inum >= sb.ninodes || inode(e->inum)->type == 0) {
    problem("directory %u: %.14s names inode %u, which is free", dir, e->name, e->inum);
    return;
  }
  if (e->name[0] == 0 || memchr(e->name, '/', DIRSIZ))
    problem("directory %u: entry %u has a bad name", dir, i);
  check_name_twice(dir, i);
  if (i == 0 || (i == 1 && inode(dir)->nlink == 0))
    return;  // "." is no link, and an orphan's ".." none any more
  struct seen *s = &seen[e->inum];
  s->links++;
  if (i == 1) {
    seen[dir].dotdot = e->inum;
  } else if (inode(e->inum)->type == T_DIR) {
    if (s->parent)
      problem("directory %u has entries in %u and in %u", e->inum, s->parent, dir);
    s->parent = dir;
  }
}

static void check_directory(uint32_t dir) {
  const struct dinode *d = inode(dir);
  if (d->type != T_DIR || blocks_for(d->size) > MAXFILE)
    return;
  const struct dirent *dot = entry_at(d, 0), *dotdot = entry_at(d, 1);
  uint32_t count = d->size / (uint32_t)sizeof(struct dirent);
  if (d->size % sizeof(struct dirent) != 0)
    problem("directory %u: %u bytes are no whole number of entries", dir, d->size);
  if (count < 2 || !dot || !dotdot || !entry_is(dot, ".") || !entry_is(dotdot, "..") ||
      dot->inum != dir)
    problem("directory %u does not begin with . and ..", dir);
  for (uint32_t i = 0; i < count; i++)
    check_entry(dir, i);
}

// An inode without links was open when the machine stopped: the next mount frees it.
static void check_links(uint32_t inum) {
  const struct dinode *d = inode(inum);
  if (d->type == 0)
    return;
  if (d->nlink == 0 && seen[inum].links == 0)
    printf("note: inode %u is an orphan\n", inum);
  else if (d->nlink >= 0 && (uint32_t)d->nlink != seen[inum].links)
    problem("inode %u: %d links, %u entries", inum, d->nlink, seen[inum].links);
}

// Going up from a directory must lead to the root, and .. must agree.
static void check_reached(uint32_t inum) {
  if (inode(inum)->type != T_DIR || inode(inum)->nlink == 0)
    return;
  uint32_t parent = inum == ROOT_INO ? ROOT_INO : seen[inum].parent;
  if (seen[inum].dotdot != parent)
    problem("directory %u: .. is %u, not %u", inum, seen[inum].dotdot, parent);
  uint32_t up = inum;
  for (uint32_t steps = 0; up != ROOT_INO && up != 0 && steps < sb.ninodes; steps++)
    up = seen[up].parent;
  if (up != ROOT_INO)
    problem("directory %u cannot be reached from the root", inum);
}

static void check_bitmap(void) {
  for (uint32_t n = 0; n < sb.size; n++) {
    bool used = n < sb.size - sb.nblocks || block_owner[n] != 0;
    if (used != bitmap_get(n))
      problem("block %u is %s but marked %s", n, used ? "in use" : "free",
              used ? "free" : "in use");
  }
}

static int check(const char *path) {
  read_image(path);
  check_geometry();
  replay_log();
  seen = calloc(sb.ninodes, sizeof(*seen));
  block_owner = calloc(sb.size, sizeof(*block_owner));
  if (!seen || !block_owner)
    fail("no memory");
  if (inode(ROOT_INO)->type != T_DIR)
    problem("inode %d, the root, is no directory", ROOT_INO);
  for (uint32_t i = ROOT_INO; i < sb.ninodes; i++)
    check_inode(i);
  for (uint32_t i = ROOT_INO; i < sb.ninodes; i++)
    check_directory(i);
  for (uint32_t i = ROOT_INO; i < sb.ninodes; i++) {
    check_links(i);
    check_reached(i);
  }
  check_bitmap();
  printf("%s: %s\n", path, problems ? "damaged" : "clean");
  return problems ? 1 : 0;
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
  fail("usage: mkfs [-s blocks] [-i inodes] [-l log-blocks] IMAGE [file...] | mkfs -c IMAGE");
}

int main(int argc, char *argv[]) {
  uint32_t size = 2000, inodes = 200, log = 30;
  int i = 1;
  if (argc == 3 && strcmp(argv[1], "-c") == 0)
    return check(argv[2]);
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
