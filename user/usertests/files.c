// SPDX-License-Identifier: MIT
//
// Files: contents, sizes, links, status.

#include "user/usertests/tests.h"

#define LARGEST (MAXFILE * BLOCK_SIZE)

static char pattern(int i) {
  return (char)(i % 251 + i / 1024);
}

static void write_pattern(int fd, int from, int to, int step) {
  for (int i = from; i < to; i += step) {
    int n = to - i < step ? to - i : step;
    for (int k = 0; k < n; k++)
      scratch[k] = pattern(i + k);
    if (write(fd, scratch, n) != n)
      fail("write at %d failed", i);
  }
}

static void read_pattern(const char *path, int size, int step) {
  int fd = open(path, O_RDONLY), n, total = 0;
  while ((n = read(fd, scratch, step)) > 0) {
    for (int i = 0; i < n; i++)
      if (scratch[i] != pattern(total + i))
        fail("byte %d is wrong", total + i);
    total += n;
  }
  close(fd);
  check(n == 0 && total == size);
}

static void sizes(void) {
  int list[] = {0, 1, 511, 512, 513, 1023, 1024, 1025, 12287, 12288, 12289, 13313, 20000};
  for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
    int fd = open("f", O_CREATE | O_RDWR);
    check(fd >= 0);
    write_pattern(fd, 0, list[i], (int)i * 300 + 100);
    close(fd);
    read_pattern("f", list[i], 1000 - (int)i);
    check(unlink("f") == 0 && open("f", O_RDONLY) == -1);
  }
}

static void largest(void) {
  struct stat st;
  int fd = open("big", O_CREATE | O_RDWR);
  write_pattern(fd, 0, LARGEST - 100, 8192);
  check(write(fd, scratch, 0) == 0);
  write_pattern(fd, LARGEST - 100, LARGEST, 100);
  check(write(fd, scratch, 1) <= 0);
  check(write(fd, scratch, 5000) <= 0);
  check(fstat(fd, &st) == 0 && st.size == LARGEST);
  close(fd);
  read_pattern("big", LARGEST, 10000);
  check(unlink("big") == 0);
}

static void overwrite(void) {
  make_file("f", "0123456789", 10);
  int fd = open("f", O_WRONLY);
  check(write(fd, "abc", 3) == 3 && write(fd, "de", 2) == 2);
  close(fd);
  check(load_file("f", scratch, 100) == 10 && memcmp(scratch, "abcde56789", 10) == 0);
  unlink("f");
}

static void truncate(void) {
  struct stat st;
  make_file("f", scratch, 15000);
  int reader = open("f", O_RDONLY);
  check(read(reader, scratch, 1000) == 1000);
  int fd = open("f", O_WRONLY | O_TRUNC);
  check(fstat(reader, &st) == 0 && st.size == 0 && read(reader, scratch, 10) == 0);
  check(write(fd, "abc", 3) == 3 && fstat(reader, &st) == 0 && st.size == 3);
  check(load_file("f", scratch, 100) == 3);
  close(fd);
  fd = open("f", O_RDONLY | O_TRUNC);
  check(fd >= 0 && fstat(fd, &st) == 0 && st.size == 0);
  unlink("f");
}

// A writer whose file is cut short under it stands behind the end: there are no holes.
static void truncate_under_writer(void) {
  int fd = open("f", O_CREATE | O_RDWR);
  check(write(fd, scratch, 5000) == 5000);
  close(open("f", O_RDWR | O_TRUNC));
  check(write(fd, "xy", 2) == -1);
  check(load_file("f", scratch, SCRATCH_SIZE) == 0);
  unlink("f");
}

static void modes(void) {
  make_file("f", "abc", 3);
  int fd = open("f", O_RDONLY);
  check(write(fd, "x", 1) == -1 && read(fd, scratch, 10) == 3);
  close(fd);
  fd = open("f", O_WRONLY);
  check(read(fd, scratch, 1) == -1 && write(fd, "x", 1) == 1);
  close(fd);
  check(open("g", O_RDWR) == -1 && open("g/h", O_CREATE | O_RDWR) == -1);
  check(open("f/h", O_CREATE | O_RDWR) == -1);
  check(unlink("f") == 0 && unlink("f") == -1);
}

static void two_writers(void) {
  int a = open("f", O_CREATE | O_RDWR), b = open("f", O_RDWR);
  check(write(a, "aaaa", 4) == 4 && write(b, "bb", 2) == 2 && write(a, "a", 1) == 1);
  check(read(b, scratch, 10) == 3 && memcmp(scratch, "aaa", 3) == 0);
  check(load_file("f", scratch, 10) == 5 && memcmp(scratch, "bbaaa", 5) == 0);
  unlink("f");
}

static void status(void) {
  static struct stat st, other;
  make_file("f", "abcde", 5);
  memset(&st, 0xff, sizeof(st));
  int fd = open("f", O_RDONLY);
  check(fstat(fd, &st) == 0);
  check(st.type == T_FILE && st.nlink == 1 && st.size == 5 && st.pad == 0 && st.ino > 1);
  check(offsetof(struct stat, size) == 16 && sizeof(st) == 24);
  check(stat("/", &other) == 0 && other.type == T_DIR && other.ino == 1 && other.pad == 0);
  check(other.dev == st.dev && other.size >= 2 * sizeof(struct dirent));
  check(stat("/console", &other) == 0 && other.type == T_DEVICE && other.size == 0);
  check(fstat(1, &st) == 0 || fstat(1, &st) == -1);
  unlink("f");
}

static void links(void) {
  static struct stat a, b;
  make_file("a", "abc", 3);
  check(link("a", "b") == 0 && stat("a", &a) == 0 && stat("b", &b) == 0);
  check(a.ino == b.ino && a.nlink == 2 && b.nlink == 2);
  check(link("a", "b") == -1 && link("nothing", "c") == -1 && link("a", "no/c") == -1);
  check(link(".", "c") == -1 && link("/", "c") == -1);
  check(stat("a", &a) == 0 && a.nlink == 2);
  check(unlink("a") == 0 && open("a", O_RDONLY) == -1);
  check(load_file("b", scratch, 10) == 3 && stat("b", &b) == 0 && b.nlink == 1);
  check(link("b", "b") == -1 && unlink("b") == 0);
}

// A file lives on without a name as long as it is open.
static void unlink_open(void) {
  static struct stat st;
  int fd = open("f", O_CREATE | O_RDWR), other;
  check(write(fd, "hello", 5) == 5 && unlink("f") == 0);
  check(fstat(fd, &st) == 0 && st.nlink == 0 && st.size == 5);
  check(open("f", O_RDONLY) == -1);
  other = open("f", O_CREATE | O_RDWR);
  check(write(other, "other", 5) == 5 && write(fd, "more", 4) == 4);
  check(load_file("f", scratch, 100) == 5 && memcmp(scratch, "other", 5) == 0);
  close(fd);
  unlink("f");
}

static void unlink_open_shared(void) {
  int fd = open("f", O_CREATE | O_RDWR), reader = open("f", O_RDONLY);
  check(write(fd, "hello", 5) == 5 && unlink("f") == 0);
  if (must_fork() == 0) {
    check(read(reader, scratch, 3) == 3);
    exit(0);
  }
  check(wait_status() == 0);
  close(fd);
  check(read(reader, scratch, 10) == 2 && memcmp(scratch, "lo", 2) == 0);
}

// A device that the kernel does not have can be opened.  Below 64 are the majors of others.
static void devices(void) {
  static struct stat st;
  short unknown[] = {0, 2, 3, 9, 10, 63, 99, 0x7fff, -1};
  for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
    check(mknod("dev", unknown[i], 7) == 0 && mknod("dev", 1, 0) == -1);
    check(stat("dev", &st) == 0 && st.type == T_DEVICE);
    int fd = open("dev", O_RDWR);
    check(fd >= 0 && read(fd, scratch, 1) == -1 && write(fd, "PANIC", 5) == -1);
    check(read(fd, scratch, 0) == -1 && write(fd, "", 0) == -1);
    check(close(fd) == 0 && unlink("dev") == 0);
  }
  check(mknod("dev", DEV_CONSOLE, 0) == 0);
  int fd = open("dev", O_WRONLY);
  check(fd >= 0 && write(fd, "", 0) == 0);
  unlink("dev");
}

// The list has an end, which stays; what is written does not count.
static void crash_device(void) {
  int fd = open("/crash", O_RDWR), steps[] = {1, 7, 512, SCRATCH_SIZE}, size = 0, n;
  if (fd < 0)
    return;  // built without
  check(DEV_CRASH >= 64);
  check(write(fd, " \n ", 3) == 3 && read(fd, scratch, 5) == 5);
  check(memcmp(scratch, "EXHAUST_STACK", 5) == 0 && write(fd, "NO_SUCH_NAME", 12) == -1);
  close(fd);
  for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
    int total = 0;
    fd = open("/crash", O_RDWR);
    while ((n = read(fd, scratch, steps[i])) > 0)
      total += n;
    check(n == 0 && total > 1000 && (i == 0 || total == size));
    check(write(fd, "   ", 3) == 3);
    for (int k = 0; k < 3; k++)
      check(read(fd, scratch, 1) == 0 && read(fd, scratch, SCRATCH_SIZE) == 0);
    size = total;
    close(fd);
  }
}

const struct test file_tests[] = {
    {"file-sizes", sizes, false},
    {"file-largest", largest, false},
    {"file-overwrite", overwrite, false},
    {"file-truncate", truncate, false},
    {"file-truncate-under", truncate_under_writer, false},
    {"file-modes", modes, false},
    {"file-two-writers", two_writers, false},
    {"file-status", status, false},
    {"file-links", links, false},
    {"file-unlink-open", unlink_open, false},
    {"file-unlink-shared", unlink_open_shared, false},
    {"file-devices", devices, false},
    {"file-crash-device", crash_device, false},
    {NULL, NULL, false},
};
