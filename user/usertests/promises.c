// SPDX-License-Identifier: MIT
//
// What fork promises, and the boot argument with which it promises nothing.

#include "user/usertests/tests.h"

#define FAILED ((char *)-1)

static void touch(char *from, uint64 bytes, char c) {
  for (uint64 i = 0; i < bytes; i += PAGE_SIZE)
    from[i] = c;
}

// Take two thirds of memory, or nothing if that is more than sbrk can be asked for.
static char *take_most(uint64 *bytes) {
  struct memory_info m;
  check(meminfo(&m) == 0);
  *bytes = ROUND_DOWN(m.free / 3 * 2, PAGE_SIZE);
  if (*bytes > 0x7fffffff)
    *bytes = 0;
  char *a = sbrk((int)*bytes);
  check(a != FAILED);
  touch(a, *bytes, 9);
  return a;
}

// fork promises a copy of each page that may be written: it fails rather than kill a process later.
static void fork_promise(void) {
  uint64 most;
  if (overcommits()) {
    printf("  skipped: fork promises nothing\n");
    return;
  }
  char *a = take_most(&most);
  if (!most)
    return;
  check(fork() == -1);
  check(sbrk(-(int)(most / 2)) != FAILED);
  if (must_fork() == 0) {
    touch(a, most / 4, 8);
    exit(a[0] == 8 ? 0 : 1);
  }
  check(wait_status() == 0 && a[0] == 9);
}

// With overcommit it promises nothing, and processes that write little live on.
static void overcommit_little(void) {
  uint64 most;
  if (!overcommits())
    return;
  char *a = take_most(&most);
  for (int i = 0; i < 3; i++)
    if (must_fork() == 0) {
      touch(a, most / 10, 8);
      exit(a[0] == 8 ? 0 : 1);
    }
  for (int i = 0; i < 3; i++)
    check(wait_status() == 0);
  check(!most || a[0] == 9);
}

// Three processes write all they have, which is twice the memory of the machine.  Returns how many
// children were killed.
static int write_all(void) {
  uint64 most;
  char *a = take_most(&most);
  for (int i = 0; i < 2; i++)
    if (must_fork() == 0) {
      touch(a, most, (char)i);
      exit(0);
    }
  touch(a, most, 2);
  int killed = 0;
  for (int i = 0; i < 2; i++)
    killed += wait_status() == -1;
  return killed;
}

// A process that finds no page is killed, parent or child; no other process is.
static void overcommit_much(void) {
  int go[2], done[2];
  char c;
  if (!overcommits())
    return;
  check(pipe(go) == 0 && pipe(done) == 0);
  if (must_fork() == 0) {
    close(done[0]);
    check(read(go[0], &c, 1) == 1);
    exit(write_all());
  }
  close(done[1]);
  check(write(go[1], "", 1) == 1);
  check(read(done[0], &c, 1) == 0);  // until orphans are gone, too: we share pages with them
  int status = wait_status();
  check(status == -1 || status == 1 || status == 2);
}

// Take all memory that is left, write to the pipe tell, and wait.
static void hold_all(int tell, int wait) {
  char c;
  sbrk_all();
  check(write(tell, "", 1) == 1);
  exit(read(wait, &c, 1));
}

// A call that finds no page for its result fails, and so does an sbrk that would have to clear part
// of one; when there is memory again, they work.
static void overcommit_calls(void) {
  int full[2], end[2];
  char c, *a = sbrk(2 * PAGE_SIZE);
  struct stat st;
  if (!overcommits())
    return;
  int fd = open("/", O_RDONLY);
  touch(a, 2 * PAGE_SIZE, 9);
  check(fd >= 0 && pipe(full) == 0 && pipe(end) == 0);
  if (must_fork() == 0)
    hold_all(full[1], end[0]);
  check(read(full[0], &c, 1) == 1);
  check(fstat(fd, (struct stat *)a) == -1 && a[0] == 9);
  check(sbrk(-1) == FAILED && sbrk(0) == a + 2 * PAGE_SIZE && a[PAGE_SIZE] == 9);
  check(fstat(fd, &st) == 0);  // the stack was written to before
  check(write(end[1], "", 1) == 1 && wait_status() == 1);
  check(fstat(fd, (struct stat *)a) == 0 && sbrk(-1) == a + 2 * PAGE_SIZE);
  close(fd);
}

const struct test promise_tests[] = {
    {"fork-promise", fork_promise, false},
    {"overcommit-little", overcommit_little, false},
    {"overcommit-much", overcommit_much, false},
    {"overcommit-calls", overcommit_calls, false},
    {NULL, NULL, false},
};
