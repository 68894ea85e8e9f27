// SPDX-License-Identifier: MIT
//
// exec: what it passes to the program, and how it fails.

#include "user/usertests/tests.h"

// Run echo with the words, its output in a file, and return the length of what it wrote to scratch,
// or -1 if exec failed.
static int run_echo(char *const argv[]) {
  if (must_fork() == 0) {
    close(1);
    if (open("out", O_CREATE | O_RDWR | O_TRUNC) != 1)
      exit(3);
    exec("/echo", argv);
    exit(4);
  }
  int status = wait_status();
  check(status == 0 || status == 4);
  int n = load_file("out", scratch, SCRATCH_SIZE - 1);
  scratch[n] = 0;
  unlink("out");
  return status == 0 ? n : -1;
}

static void simple(void) {
  check(run_echo(ARGS("echo", "hello", "", "world")) == 13);
  check(strcmp(scratch, "hello  world\n") == 0);
  check(run_echo(ARGS("echo")) == 1 && scratch[0] == '\n');
}

static void argument_count(void) {
  static char *words[80];
  static char word[] = "w";
  for (int n = 1; n < 79; n++)
    words[n - 1] = word, words[n] = NULL;
  words[31] = NULL;
  check(run_echo(words) == 60);  // 30 words behind the name
  words[31] = word;
  words[78] = NULL;
  check(run_echo(words) == -1);
}

// Arguments and their table must fit in one page; where the border is, nothing breaks.  A program
// that is left with no stack at all is killed.
static void argument_size(void) {
  static char *words[4];
  int last = 0;
  words[0] = long_string('e', 4);
  for (int n = 3000; n <= 4200; n += n < 3900 || n > 4100 ? 100 : 7) {
    words[1] = long_string('a', n);
    if (must_fork() == 0) {
      exec("/true", words);
      exit(4);
    }
    int status = wait_status();
    check(status == 4 || status == 0 || (status == -1 && n > 3900));
    check(status != 4 || n > 3900);
    check(last != 4 || status == 4);  // what does not fit does not fit when it grows
    last = status;
    free(words[1]);
  }
  check(last == 4);
}

static void argument_sum(void) {
  static char *words[32];
  for (int i = 0; i < 31; i++)
    words[i] = long_string('x', 60);
  check(run_echo(words) == 30 * 61);
  for (int i = 0; i < 31; i++)
    words[i] = long_string('x', 200);
  check(run_echo(words) == -1);
}

static void missing(void) {
  check(exec("/nothing", ARGS("nothing")) == -1);
  check(exec("", ARGS("x")) == -1);
  check(exec("/", ARGS("x")) == -1);
  check(exec("/console", ARGS("x")) == -1);
  check(exec("/true/true", ARGS("x")) == -1);
  check(exec(long_string('a', 5000), ARGS("x")) == -1);
  check(run_echo(ARGS("echo", "still", "here")) == 11);
}

static void keeps_files(void) {
  make_file("f", "0123456789", 10);
  int fd = open("f", O_RDONLY), p[2];
  check(read(fd, scratch, 4) == 4 && pipe(p) == 0);
  if (must_fork() == 0) {
    close(0);
    dup(fd);
    close(1);
    dup(p[1]);
    exec("/cat", ARGS("cat"));
    exit(1);
  }
  close(p[1]);
  check(wait_status() == 0);
  check(read(p[0], scratch, 100) == 6 && memcmp(scratch, "456789", 6) == 0);
  unlink("f");
}

// The old memory has gone: a long chain of programs takes no more than one.
static void chain(void) {
  for (int i = 0; i < 30; i++) {
    if (must_fork() == 0) {
      memset(sbrk(100 * PAGE_SIZE), 1, 100 * PAGE_SIZE);
      exec("/true", ARGS("true"));
      exit(1);
    }
    check(wait_status() == 0);
  }
}

// What exec had allocated when it found the bad pointer comes back.
static void bad_often(void) {
  char *words[] = {(char *)0xffffffff, NULL};
  for (int i = 0; i < 10000; i++)
    check(exec("/echo", words) == -1);
}

// With that many free pages exec works or fails, and the machine goes on.
static void exec_with_pages(uint64 pages) {
  sbrk_all();
  for (; pages > 0; pages--)
    sbrk(-PAGE_SIZE);
  exec("/true", ARGS("true"));
  exit(0);
}

static void little_memory(void) {
  for (uint64 pages = 0; pages < 20; pages++) {
    int status = run_child(exec_with_pages, pages);
    check(status == 0 || status == -1);
  }
}

static void layout(void) {
  check(first_break == first_stack + PAGE_SIZE);
  if (must_fork() == 0) {
    exec("/usertests", ARGS("usertests", "@layout"));
    exit(2);
  }
  check(wait_status() == 0);
}

static void relative(void) {
  check(chdir("/") == 0);
  if (must_fork() == 0) {
    exec("true", ARGS("true"));
    exit(1);
  }
  check(wait_status() == 0);
}

const struct test exec_tests[] = {
    {"exec", simple, false},
    {"exec-argument-count", argument_count, false},
    {"exec-argument-size", argument_size, false},
    {"exec-argument-sum", argument_sum, false},
    {"exec-missing", missing, false},
    {"exec-keeps-files", keeps_files, false},
    {"exec-chain", chain, false},
    {"exec-bad-often", bad_often, false},
    {"exec-little-memory", little_memory, true},
    {"exec-layout", layout, false},
    {"exec-relative", relative, false},
    {NULL, NULL, false},
};
