// SPDX-License-Identifier: MIT
//
// What there is of everything, before the calls and after them.  There is no call that counts files
// or blocks, so they are taken until there are no more.

#include "user/fuzz/fuzz.h"

#define INODES_MOST  4000
#define FILES_MOST   200
#define ROOT_ENTRIES 60
#define NAMES_MOST   200
#define PATIENCE     100  // ticks, for processes that are still exiting

static char block[8192];

static bool is_dots(const char *name) {
  return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

// Return whether the name was in the root when it was first asked.
static bool is_known(const char *name) {
  static char known[NAMES_MOST][DIRSIZ + 1];
  static int count;
  if (count == 0) {
    struct dirent entry;
    int fd = open("/", O_RDONLY);
    while (count < NAMES_MOST && read(fd, &entry, sizeof(entry)) == sizeof(entry))
      if (entry.inum != 0)
        memcpy(known[count++], entry.name, DIRSIZ);
    close(fd);
  }
  for (int i = 0; i < count; i++)
    if (strcmp(known[i], name) == 0)
      return true;
  return false;
}

// Remove all that is in the current directory, or in the root what is new there.
static void empty_directory(bool root) {
  struct dirent entry;
  char name[DIRSIZ + 1] = "";
  int fd = open(".", O_RDONLY);
  while (read(fd, &entry, sizeof(entry)) == sizeof(entry)) {
    memcpy(name, entry.name, DIRSIZ);
    if (entry.inum == 0 || is_dots(name) || (root && is_known(name)) || unlink(name) == 0 ||
        chdir(name) < 0)
      continue;
    empty_directory(false);
    chdir("..");
    unlink(name);
  }
  close(fd);
}

void clean_up(void) {
  if (chdir(DIRECTORY) == 0)
    empty_directory(false);
  chdir("/");
  empty_directory(true);
}

static long count_descriptors(void) {
  int fd[32], n = 0;
  while (n < (int)ARRAY_SIZE(fd) && (fd[n] = dup(TEXT_FD)) >= 0)
    n++;
  for (int i = 0; i < n; i++)
    close(fd[i]);
  return n;
}

static long count_inodes(int most) {
  char name[DIRSIZ];
  long n = 0;
  for (; n < most; n++) {
    snprintf(name, sizeof(name), "fzi%ld", n);
    if (mknod(name, 63, 0) < 0)
      break;
  }
  return n;
}

static long count_blocks(void) {
  char name[DIRSIZ];
  long bytes = 0, put = 1;
  for (int i = 0; i < FILES_MOST && put > 0; i++) {
    snprintf(name, sizeof(name), "fzb%d", i);
    int fd = open(name, O_CREATE | O_WRONLY);
    if (fd < 0)
      break;
    long before = bytes;
    while ((put = write(fd, block, sizeof(block))) > 0)
      bytes += put;
    put = bytes - before;  // none: the disk is full
    close(fd);
  }
  return bytes / BLOCK_SIZE;
}

static void count_disk(struct counts *counts) {
  chdir("/");
  count_inodes(ROOT_ENTRIES);  // the root keeps the room that names once needed
  clean_up();
  chdir(DIRECTORY);
  counts->inodes = count_inodes(INODES_MOST);
  clean_up();
  chdir(DIRECTORY);
  counts->blocks = count_blocks();
  clean_up();
}

static void count_memory(struct counts *counts) {
  struct memory_info m = {0};
  meminfo(&m);
  counts->bytes = m.free;
  counts->promised = m.reserved;
  counts->processes = procinfo(NULL, 0);
}

void count_all(struct counts *counts) {
  mkdir(DIRECTORY);
  is_known("");
  count_disk(counts);
  counts->descriptors = count_descriptors();
  counts->pages = free_pages();
  count_memory(counts);
}

static bool differs(const char *what, long before, long after) {
  printf("fuzz: %-11s %9ld before, %9ld after%s\n", what, before, after,
         before == after ? "" : ", DIFFERENT");
  return before != after;
}

bool counts_differ(const struct counts *before) {
  struct counts now;
  clean_up();
  count_all(&now);
  for (int i = 0; i < PATIENCE && (now.bytes < before->bytes || now.processes > before->processes);
       i++) {
    sleep(1);
    count_memory(&now);
  }
  now.pages = free_pages();
  bool wrong = differs("pages", before->pages, now.pages);
  wrong |= differs("bytes", (long)before->bytes, (long)now.bytes);
  wrong |= differs("promised", (long)before->promised, (long)now.promised);
  wrong |= differs("processes", before->processes, now.processes);
  wrong |= differs("descriptors", before->descriptors, now.descriptors);
  wrong |= differs("inodes", before->inodes, now.inodes);
  wrong |= differs("blocks", before->blocks, now.blocks);
  return wrong;
}
