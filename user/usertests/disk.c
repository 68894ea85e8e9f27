// SPDX-License-Identifier: MIT
//
// A disk that is full, of data and of files; and that all of it comes back.

#include "user/usertests/tests.h"

static void name_of(int i, char name[8]) {
  snprintf(name, 8, "n%d", i);
}

// Write files until there is no room.  Returns the bytes written.
static uint64 fill_disk(int *files) {
  uint64 total = 0;
  char name[8];
  for (*files = 0; *files < 1000; ++*files) {
    name_of(*files, name);
    int fd = open(name, O_CREATE | O_RDWR | O_TRUNC), n, written = 0;
    if (fd < 0)
      break;
    while ((n = write(fd, scratch, BLOCK_SIZE)) == BLOCK_SIZE)
      written += n;
    close(fd);
    total += (uint64)written;
    if (written < MAXFILE * BLOCK_SIZE) {
      ++*files;
      break;
    }
  }
  return total;
}

static void remove_files(int count) {
  char name[8];
  for (int i = 0; i < count; i++) {
    name_of(i, name);
    check(unlink(name) == 0);
  }
}

static void full(void) {
  int files;
  uint64 first = fill_disk(&files);
  check(first > 0 && files < 1000);
  check(load_file("n0", scratch, 1000) > 0);
  remove_files(files);
  uint64 second = fill_disk(&files);
  remove_files(files);
  if (first != second)
    fail("%lu bytes at first, then %lu", first, second);
  make_file("f", scratch, 5000);
  check(unlink("f") == 0);
}

// Without a free block no directory can be made, and none can grow.
static void full_directory(void) {
  char name[8];
  int files, names = 0;
  uint64 total = fill_disk(&files);
  check(total > 0 && mkdir("d") == -1 && open("d", O_RDONLY) == -1);
  for (; names < 200; names++) {
    snprintf(name, sizeof(name), "l%d", names);
    if (link("n0", name) < 0)
      break;
  }
  check(names < 200);
  while (names-- > 0) {
    snprintf(name, sizeof(name), "l%d", names);
    check(unlink(name) == 0);
  }
  remove_files(files);
  check(mkdir("d") == 0 && unlink("d") == 0);
}

static int create_all(void) {
  char name[8];
  int n = 0;
  for (; n < 70000; n++) {
    name_of(n, name);
    int fd = open(name, O_CREATE | O_RDWR);
    if (fd < 0)
      break;
    close(fd);
  }
  return n;
}

static void out_of_inodes(void) {
  int n = create_all();
  check(n > 0 && n < 70000 && mkdir("d") == -1 && mknod("x", 1, 1) == -1);
  remove_files(n);
  int again = create_all();
  remove_files(again);
  check(again == n);
}

// What an unlinked file had comes back when it is closed, not before.
static void unlinked_blocks(void) {
  int files;
  make_file("held", scratch, SCRATCH_SIZE);
  int fd = open("held", O_RDONLY);
  check(unlink("held") == 0);
  uint64 first = fill_disk(&files);
  remove_files(files);
  close(fd);
  uint64 second = fill_disk(&files);
  remove_files(files);
  check(second >= first + SCRATCH_SIZE);
}

static void many_rounds(void) {
  for (int i = 0; i < 30; i++) {
    make_file("f", scratch, SCRATCH_SIZE);
    check(unlink("f") == 0);
  }
}

const struct test disk_tests[] = {
    {"disk-many-rounds", many_rounds, false},        {"disk-full", full, true},
    {"disk-full-directory", full_directory, true},   {"disk-out-of-inodes", out_of_inodes, true},
    {"disk-unlinked-blocks", unlinked_blocks, true}, {NULL, NULL, false},
};
