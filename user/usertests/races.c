// SPDX-License-Identifier: MIT
//
// Processes that use the file system at the same time.

#include "user/usertests/tests.h"

#define WORKERS 4

// Run f(0) to f(n-1) at the same time; each must return.
static void together(int n, void (*f)(int)) {
  for (int i = 0; i < n; i++)
    if (must_fork() == 0) {
      f(i);
      exit(0);
    }
  bool failed = false;
  for (int i = 0; i < n; i++)
    failed |= wait_status() != 0;
  check(!failed);
}

static void write_own(int me) {
  char name[] = "own0";
  name[3] = (char)('0' + me);
  int fd = open(name, O_CREATE | O_RDWR);
  check(fd >= 0);
  memset(scratch, 'a' + me, 500);
  for (int i = 0; i < 20; i++)
    check(write(fd, scratch, 500) == 500);
  close(fd);
  int n = load_file(name, scratch, SCRATCH_SIZE);
  check(n == 10000);
  for (int i = 0; i < n; i++)
    check(scratch[i] == 'a' + me);
  check(unlink(name) == 0);
}

static void own_files(void) {
  together(WORKERS, write_own);
}

static void create_own(int me) {
  char name[] = "p0-0";
  name[1] = (char)('0' + me);
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 20; i++) {
      name[3] = (char)('a' + i);
      make_file(name, name, 4);
    }
    for (int i = 0; i < 20; i++) {
      name[3] = (char)('a' + i);
      check(load_file(name, scratch, 9) == 4 && memcmp(scratch, name, 4) == 0);
      check(unlink(name) == 0);
    }
  }
}

static void own_names(void) {
  together(WORKERS, create_own);
}

static void create_same(int me) {
  (void)me;
  for (int i = 0; i < 50; i++) {
    int fd = open("same", O_CREATE | O_RDWR);
    check(fd >= 0);
    write(fd, "x", 1);
    close(fd);
    unlink("same");
  }
}

static void same_name(void) {
  together(WORKERS, create_same);
  unlink("same");
}

// Everybody makes, links and removes the same few names.
static void shuffle(int me) {
  unsigned random = (unsigned)me * 997 + 13;
  char name[] = "s0", other[] = "s0";
  for (int i = 0; i < 100; i++) {
    random = random * 1103515245 + 12345;
    name[1] = (char)('0' + (random >> 16) % 5);
    other[1] = (char)('0' + (random >> 20) % 5);
    switch ((random >> 24) % 4) {
    case 0:
      close(open(name, O_CREATE | O_RDWR));
      break;
    case 1:
      link(name, other);
      break;
    case 2:
      mkdir(name);
      break;
    default:
      unlink(name);
    }
  }
}

static void shuffled_names(void) {
  char name[] = "s0";
  together(WORKERS, shuffle);
  for (; name[1] < '5'; name[1]++)
    unlink(name);
}

static void make_tree(int me) {
  (void)me;
  for (int i = 0; i < 25; i++) {
    mkdir("t");
    mkdir("t/u");
    close(open("t/u/f", O_CREATE | O_RDWR));
    unlink("t/u/f");
    unlink("t/u");
    unlink("t");
  }
}

static void same_tree(void) {
  together(WORKERS, make_tree);
  unlink("t/u/f");
  unlink("t/u");
  unlink("t");
}

// One looks paths up and down while the other makes and removes what they lead through.
static void walk_or_make(int me) {
  for (int i = 0; i < 100; i++)
    if (me == 0) {
      mkdir("w");
      unlink("w");
    } else {
      close(open("w/../w/..", O_RDONLY));
      close(open("w/x", O_CREATE | O_RDWR));
      unlink("w/x");
    }
}

static void walk_and_make(void) {
  together(3, walk_or_make);
  unlink("w/x");
  unlink("w");
}

static void read_one(int me) {
  for (int i = 0; i < 20; i++) {
    int n = load_file("shared", scratch, SCRATCH_SIZE);
    check(n == 15000);
    for (int k = me; k < n; k += 97)
      check(scratch[k] == (char)(k % 128));
  }
}

static void same_reader(void) {
  for (int i = 0; i < 15000; i++)
    scratch[i] = (char)(i % 128);
  make_file("shared", scratch, 15000);
  together(WORKERS, read_one);
  unlink("shared");
}

// While others truncate, a reader sees a whole number of writes.
static void truncate_or_read(int me) {
  for (int i = 0; i < 40; i++)
    if (me % 2 == 0) {
      int fd = open("trunc", O_CREATE | O_RDWR | O_TRUNC);
      check(write(fd, "abcd", 4) == 4);
      close(fd);
    } else {
      int fd = open("trunc", O_CREATE | O_RDONLY);
      int n = read(fd, scratch, 100);
      check((n == 0 || n == 4) && (n == 0 || memcmp(scratch, "abcd", 4) == 0));
      close(fd);
    }
}

static void truncated_under_reader(void) {
  together(WORKERS, truncate_or_read);
  unlink("trunc");
}

static void write_and_sync(int me) {
  char name[] = "sync0";
  name[4] = (char)('0' + me);
  for (int i = 0; i < 20; i++) {
    make_file(name, scratch, 3000);
    check(sync() == 0);
  }
  check(unlink(name) == 0);
}

static void syncing(void) {
  together(WORKERS, write_and_sync);
}

static void exec_and_fork(int me) {
  for (int i = 0; i < 10; i++) {
    if (must_fork() == 0) {
      exec(me % 2 ? "/true" : "/nothing", ARGS("true"));
      exit(1);
    }
    check(wait_status() == (me % 2 ? 0 : 1));
  }
}

static void executing(void) {
  together(WORKERS, exec_and_fork);
}

const struct test race_tests[] = {
    {"race-own-files", own_files, false},
    {"race-own-names", own_names, false},
    {"race-same-name", same_name, false},
    {"race-shuffle", shuffled_names, false},
    {"race-same-tree", same_tree, false},
    {"race-walk", walk_and_make, false},
    {"race-readers", same_reader, false},
    {"race-truncate", truncated_under_reader, false},
    {"race-sync", syncing, false},
    {"race-exec", executing, false},
    {NULL, NULL, false},
};
