// SPDX-License-Identifier: MIT
//
// fsck on hostile images: each bit of the metadata flipped alone, then many bytes at random.  It
// never leaves the image and always ends.  No rule of the format forbids a flip that it does not
// report.
#define main fsck_main
#include "user/fsck.c"
#undef main

#include <sys/resource.h>

#include "test/host/check.h"

enum { BLOCKS = 80, INODES = 32, LOG = 2, TABLE = 17, MAP = 19, DATA = 20 };
enum { ROOT_BLOCK = 20, DIR_BLOCK = 21, FILE_BLOCK = 22, INDIRECT_BLOCK = 36, ORPHAN_BLOCK = 37 };
enum { FILE_INODE = 2, DIR_INODE, DEVICE_INODE, ORPHAN_INODE };

static unsigned char sound[BLOCKS * BLOCK_SIZE];
static char *expected;  // what fsck says of it

static void *sound_block(uint32_t n) {
  return sound + n * BLOCK_SIZE;
}

static void enter(uint32_t n, uint32_t i, uint32_t inum, const char *name) {
  struct dirent *e = (struct dirent *)sound_block(n) + i;
  e->inum = (unsigned short)inum;
  memcpy(e->name, name, strlen(name));
}

// A root whose block is still in the log, a file with an indirect block and two names, a directory,
// a device, an orphan.
static void make_image(void) {
  struct superblock super = {FS_MAGIC, BLOCKS, BLOCKS - DATA, INODES, TABLE - LOG, LOG, TABLE, MAP};
  memcpy(sound_block(1), &super, sizeof(super));
  struct dinode *d = sound_block(TABLE);
  d[ROOT_INO] = (struct dinode){.type = T_DIR, .nlink = 2, .size = 5 * 16, .addrs = {ROOT_BLOCK}};
  d[FILE_INODE] = (struct dinode){.type = T_FILE, .nlink = 2, .size = 14 * BLOCK_SIZE};
  for (uint32_t i = 0; i < NDIRECT; i++)
    d[FILE_INODE].addrs[i] = FILE_BLOCK + i;
  d[FILE_INODE].addrs[NDIRECT] = INDIRECT_BLOCK;
  memcpy(sound_block(INDIRECT_BLOCK), (uint32_t[]){FILE_BLOCK + 12, FILE_BLOCK + 13}, 8);
  d[DIR_INODE] = (struct dinode){.type = T_DIR, .nlink = 1, .size = 3 * 16, .addrs = {DIR_BLOCK}};
  d[DEVICE_INODE] = (struct dinode){.type = T_DEVICE, .major = 1, .nlink = 1};
  d[ORPHAN_INODE] = (struct dinode){.type = T_FILE, .size = 9, .addrs = {ORPHAN_BLOCK}};
  uint32_t *header = sound_block(LOG);
  header[0] = 1;
  header[1] = ROOT_BLOCK;
  enter(LOG + 1, 0, ROOT_INO, ".");
  enter(LOG + 1, 1, ROOT_INO, "..");
  enter(LOG + 1, 2, FILE_INODE, "file");
  enter(LOG + 1, 3, DIR_INODE, "d");
  enter(LOG + 1, 4, DEVICE_INODE, "console");
  enter(DIR_BLOCK, 0, DIR_INODE, ".");
  enter(DIR_BLOCK, 1, ROOT_INO, "..");
  enter(DIR_BLOCK, 2, FILE_INODE, "other");
  for (uint32_t n = 0; n <= ORPHAN_BLOCK; n++)
    sound[MAP * BLOCK_SIZE + n / 8] |= (unsigned char)(1 << n % 8);
}

// Check the image after changes to it.  Returns a new string with all that fsck says.
static char *said_of(const unsigned char *bytes) {
  image_blocks = BLOCKS;
  image = allocate(BLOCKS, BLOCK_SIZE);
  memcpy(image, bytes, sizeof(sound));
  check_image();
  char *all = allocate(kept + 1, 2000), *at = all;
  for (uint32_t i = 0; i < kept; i++)
    at += sprintf(at, "%s\n", complaints[i].text);
  forget();
  return all;
}

static bool is_in(size_t offset, uint32_t n, size_t from, size_t to) {
  return offset >= n * BLOCK_SIZE + from && offset < n * BLOCK_SIZE + to;
}

// Return whether any value of the byte is one that the format allows: names, the last bytes of a
// size, the numbers of a device, what is free, a block that the log replaces.  (The magic number is
// looked at before all this.)
static bool is_free_choice(size_t offset) {
  size_t inode_at = TABLE * BLOCK_SIZE, entry = offset % sizeof(struct dirent);
  if (is_in(offset, LOG + 1, 0, BLOCK_SIZE) || is_in(offset, DIR_BLOCK, 0, BLOCK_SIZE))
    return entry >= 2 || is_in(offset, LOG + 1, 5 * 16, BLOCK_SIZE) ||
           is_in(offset, DIR_BLOCK, 3 * 16, BLOCK_SIZE);
  if (is_in(offset, ROOT_BLOCK, 0, BLOCK_SIZE) || is_in(offset, LOG, 8, BLOCK_SIZE) ||
      is_in(offset, MAP, BLOCKS / 8, BLOCK_SIZE) || is_in(offset, 1, 0, sizeof(sb.magic)))
    return true;
  if (!is_in(offset, TABLE, 0, 2 * BLOCK_SIZE))
    return false;
  size_t inum = (offset - inode_at) / sizeof(struct dinode);
  size_t field = (offset - inode_at) % sizeof(struct dinode);
  if (inum == 0 || inum > ORPHAN_INODE)
    return field >= 2;
  if (inum == DEVICE_INODE)
    return field >= 2 && field < 6;
  return inum != FILE_INODE && field >= 8 && field < 10;
}

static const uint32_t metadata[] = {1,   LOG,        LOG + 1,   TABLE,         TABLE + 1,
                                    MAP, ROOT_BLOCK, DIR_BLOCK, INDIRECT_BLOCK};

static size_t random_place(void) {
  uint32_t n = metadata[(size_t)rand() % (sizeof(metadata) / sizeof(*metadata))];
  return n * BLOCK_SIZE + (size_t)rand() % (rand() % 4 ? 80 : BLOCK_SIZE);
}

static void test_each_bit(void) {
  uint32_t seen_flips = 0, flips = 0;
  for (size_t i = 0; i < sizeof(metadata) / sizeof(*metadata); i++)
    for (size_t at = 0; at < (metadata[i] == 1 ? sizeof(sb) : BLOCK_SIZE); at++)
      for (int bit = 0; bit < 8; bit++) {
        size_t offset = metadata[i] * BLOCK_SIZE + at;
        sound[offset] ^= (unsigned char)(1 << bit);
        char *said = said_of(sound);
        sound[offset] ^= (unsigned char)(1 << bit);
        bool noticed = strcmp(said, expected) != 0;
        free(said);
        if (!noticed && !is_free_choice(offset))
          fprintf(stderr, "bit %d of byte %zu of block %u is not noticed\n", bit, at, metadata[i]);
        CHECK(noticed || is_free_choice(offset));
        seen_flips += noticed;
        flips++;
      }
  printf("test_fsck: %u of %u flips noticed, the others are allowed\n", seen_flips, flips);
}

static void test_many_bytes(unsigned seed) {
  unsigned char bytes[sizeof(sound)];
  srand(seed);
  for (int round = 0; round < 10000; round++) {
    memcpy(bytes, sound, sizeof(sound));
    for (int n = 1 + rand() % 12; n > 0; n--)
      bytes[random_place()] = (unsigned char)(rand() % 3 ? rand() % BLOCKS : rand());
    free(said_of(bytes));
  }
}

int main(void) {
  setrlimit(RLIMIT_CPU, &(struct rlimit){60, 60});  // whatever goes round for ever
  make_image();
  expected = said_of(sound);
  CHECK(strcmp(expected,
               "log: committed and not yet in place, the next mount installs them: blocks 20\n"
               "inode 5: no links: it was open when the machine stopped, and the next mount frees "
               "it\n") == 0);
  test_each_bit();
  test_many_bytes(1);
  free(expected);
  return 0;
}
