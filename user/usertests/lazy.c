// SPDX-License-Identifier: MIT
//
// Lazily allocated memory.

#include "user/usertests/tests.h"

#define FAILED ((char *)-1)
#define MIB    (1 << 20)
#define GIB    (1 << 30)

static void lazy_sparse(void) {
  char *a = sbrklazy(GIB);
  check(a != FAILED);
  for (uint64 i = 0; i < GIB; i += 64 * MIB) {
    check(a[i] == 0 && a[i + MIB] == 0);
    a[i] = (char)(i / MIB + 1);
  }
  for (uint64 i = 0; i < GIB; i += 64 * MIB)
    check(a[i] == (char)(i / MIB + 1));
  check(sbrk(-GIB) == a + GIB && sbrk(0) == a);
}

static void lazy_fork(void) {
  char *a = sbrklazy(64 * MIB);
  a[0] = 1;
  if (must_fork() == 0) {
    check(a[0] == 1 && a[MIB] == 0);
    a[0] = a[MIB] = 2;
    exit(0);
  }
  check(wait_status() == 0);
  check(a[0] == 1 && a[MIB] == 0);
}

// The kernel may be the first to touch.
static void lazy_calls(void) {
  char *a = sbrklazy(MIB);
  int fd = open("/usertests", O_RDONLY);
  check(read(fd, a + 100, 8192) == 8192 && a[100] == 0x7f && a[99] == 0);
  check(fstat(fd, (struct stat *)(a + 5 * PAGE_SIZE)) == 0);
  check(pipe((int *)(a + 6 * PAGE_SIZE)) == 0);
  int *p = (int *)(a + 6 * PAGE_SIZE);
  check(write(p[1], a + 8 * PAGE_SIZE, 100) == 100);
  check(read(p[0], a + 10 * PAGE_SIZE - 50, 100) == 100);
  check(mkdir(a + 12 * PAGE_SIZE) == -1);  // the empty name
  if (must_fork() == 0)
    exit(3);
  check(wait((int *)(a + 14 * PAGE_SIZE)) > 0 && *(int *)(a + 14 * PAGE_SIZE) == 3);
}

static void read_byte(uint64 address) {
  (void)*(volatile char *)address;
}

static void lazy_shrink(void) {
  char *a = sbrklazy(16 * PAGE_SIZE);
  a[0] = a[8 * PAGE_SIZE] = 1;
  check(sbrklazy(-12 * PAGE_SIZE) == a + 16 * PAGE_SIZE);
  check(a[0] == 1 && a[3 * PAGE_SIZE] == 0);
  uint64 end = ROUND_UP((uint64)sbrk(0), PAGE_SIZE);
  check(run_child(read_byte, end) == -1);
  check(run_child(read_byte, (uint64)a + 8 * PAGE_SIZE) == -1);
  check(read(0, (void *)end, 0) <= 0);
}

// Eager memory above lazy, below lazy.
static void lazy_mixed(void) {
  char *a = sbrk(PAGE_SIZE + 10), *b = sbrklazy(3 * PAGE_SIZE + 10), *c = sbrk(PAGE_SIZE);
  check(b == a + PAGE_SIZE + 10 && c == b + 3 * PAGE_SIZE + 10);
  a[PAGE_SIZE + 9] = 1;
  b[0] = 2;
  b[3 * PAGE_SIZE + 9] = 3;
  c[0] = 4;
  c[PAGE_SIZE - 1] = 5;
  check(a[PAGE_SIZE + 9] == 1 && b[0] == 2 && b[3 * PAGE_SIZE + 9] == 3 && c[0] == 4);
}

// Up to the last address, and not beyond.
static void lazy_all_addresses(void) {
  char *before = sbrk(0);
  while (sbrklazy(GIB) != FAILED)
    ;
  for (int step = GIB / 2; step > 0; step /= 2)
    while (sbrklazy(step) != FAILED)
      ;
  char *end = sbrk(0);
  check((uint64)end <= USER_END && (uint64)end >= USER_END - PAGE_SIZE);
  check(sbrklazy(PAGE_SIZE) == FAILED && sbrk(0) == end);
  before[GIB] = end[-1] = 1;
  check(before[GIB] == 1 && end[-1] == 1 && end[-2] == 0);
}

static void touch_all(uint64 unused) {
  (void)unused;
  for (char *a; (a = sbrklazy(GIB)) != FAILED;)
    for (uint64 i = 0; i < GIB; i += PAGE_SIZE)
      a[i] = 1;
}

// A touch that finds no memory kills that process, and only that one.
static void lazy_too_much(void) {
  check(run_child(touch_all, 0) == -1);
}

static void read_into_all(uint64 unused) {
  (void)unused;
  for (char *a; (a = sbrklazy(GIB)) != FAILED;)
    for (uint64 i = 0; i < GIB; i += PAGE_SIZE) {
      int fd = open("/true", O_RDONLY);
      if (read(fd, a + i, 16) != 16)
        exit(2);
      close(fd);
    }
}

// A call that finds no memory fails.
static void lazy_too_much_call(void) {
  int status = run_child(read_into_all, 0);
  check(status == 2 || status == -1);
}

const struct test lazy_tests[] = {
    {"lazy-sparse", lazy_sparse, false},
    {"lazy-fork", lazy_fork, false},
    {"lazy-calls", lazy_calls, false},
    {"lazy-shrink", lazy_shrink, false},
    {"lazy-mixed", lazy_mixed, false},
    {"lazy-all-addresses", lazy_all_addresses, false},
    {"lazy-too-much", lazy_too_much, true},
    {"lazy-too-much-call", lazy_too_much_call, true},
    {NULL, NULL, false},
};
