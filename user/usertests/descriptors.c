// SPDX-License-Identifier: MIT
//
// File descriptors.

#include "user/usertests/tests.h"

static void bad_numbers(void) {
  int list[] = {-1, 5, 15, 16, 17, 1000, 0x7fffffff, (int)0x80000000};
  struct stat st;
  for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
    int fd = list[i];
    check(read(fd, scratch, 1) == -1 && write(fd, scratch, 1) == -1 && close(fd) == -1);
    check(dup(fd) == -1 && fstat(fd, &st) == -1);
  }
  check(syscall(SYS_close, 1L << 32 | 9) == -1);
}

static void lowest(void) {
  int a = open("/true", O_RDONLY), b = open("/true", O_RDONLY), c = dup(a);
  check(a == 3 && b == 4 && c == 5);
  check(close(b) == 0 && dup(0) == 4 && close(a) == 0 && open("/true", O_RDONLY) == 3);
  check(close(c) == 0 && close(c) == -1);
}

static int open_all(const char *path) {
  int n = 0;
  while (open(path, O_RDONLY) >= 0)
    n++;
  return n;
}

static void limit(void) {
  int n = open_all("/true");
  check(n >= 13 && dup(0) == -1);
  check(open("f", O_CREATE | O_RDWR) == -1);
  close(n + 2);
  int fd = open("/true", O_RDONLY);
  check(fd == n + 2);
  for (int i = 3; i < n + 3; i++)
    check(close(i) == 0);
  check(open_all("/true") == n);
  unlink("f");  // open may have made it before it failed
}

// Many processes with all the files they may have.
static void limit_everywhere(void) {
  int p[2], n = 0;
  char c;
  check(pipe(p) == 0);
  for (; n < 20; n++)
    if (must_fork() == 0) {
      close(p[1]);
      open_all("/true");
      read(p[0], &c, 1);
      exit(0);
    }
  close(p[1]);
  for (int i = 0; i < n; i++)
    check(wait_status() == 0);
}

static void shared_offset(void) {
  make_file("f", "0123456789", 10);
  int a = open("f", O_RDONLY), b = dup(a), c = open("f", O_RDONLY);
  check(read(a, scratch, 3) == 3 && read(b, scratch, 3) == 3 && scratch[0] == '3');
  check(read(c, scratch, 3) == 3 && scratch[0] == '0');
  if (must_fork() == 0)
    exit(read(a, scratch, 2) == 2 && scratch[0] == '6' ? 0 : 1);
  check(wait_status() == 0);
  close(a);
  check(read(b, scratch, 10) == 2 && scratch[0] == '8');
  unlink("f");
}

// Two processes write through one open file: everything arrives, nothing twice.
static void shared_writes(void) {
  int fd = open("f", O_CREATE | O_RDWR), counts[2] = {0, 0};
  int pid = must_fork();
  memset(scratch, pid == 0 ? 'c' : 'p', 10);
  for (int i = 0; i < 200; i++)
    check(write(fd, scratch, 10) == 10);
  if (pid == 0)
    exit(0);
  check(wait_status() == 0);
  int n = load_file("f", scratch, SCRATCH_SIZE);
  check(n == 4000);
  for (int i = 0; i < n; i++)
    counts[scratch[i] == 'p']++;
  check(counts[0] == 2000 && counts[1] == 2000);
  unlink("f");
}

static void inherited(void) {
  make_file("f", "abc", 3);
  int fd = open("f", O_RDONLY);
  if (must_fork() == 0) {
    close(fd);
    exit(0);
  }
  check(wait_status() == 0 && read(fd, scratch, 10) == 3);
  unlink("f");
}

const struct test descriptor_tests[] = {
    {"fd-bad", bad_numbers, false},
    {"fd-lowest", lowest, false},
    {"fd-limit", limit, false},
    {"fd-limit-everywhere", limit_everywhere, false},
    {"fd-shared-offset", shared_offset, false},
    {"fd-shared-writes", shared_writes, false},
    {"fd-inherited", inherited, false},
    {NULL, NULL, false},
};
