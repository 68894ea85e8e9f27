// SPDX-License-Identifier: MIT
//
// Bad pointers in every call that takes one.  The call fails and has no other effect.

#include "user/usertests/tests.h"

static char file_text[] = "some text in a file";

// Run f with each bad address, with one just behind the break, and with a page-straddling one.
static void for_each_bad(void (*f)(uint64)) {
  uint64 end = ROUND_UP((uint64)sbrk(PAGE_SIZE), PAGE_SIZE);
  end = ROUND_UP((uint64)sbrk(0), PAGE_SIZE);
  for (int i = 0; i < BAD_COUNT; i++)
    f(bad_addresses[i]);
  f(end);
  f(end - 1);
  f((uint64)first_stack - PAGE_SIZE);
}

static bool straddles(uint64 address) {
  return address % PAGE_SIZE == PAGE_SIZE - 1;
}

static void try_read_file(uint64 a) {
  int fd = open("f", O_RDONLY);
  check(fd >= 0);
  if (read(fd, (void *)a, 10) != -1)
    fail("read to %p", (void *)a);
  check(read(fd, scratch, 100) == (int)sizeof(file_text));
  check(memcmp(scratch, file_text, sizeof(file_text)) == 0);
  close(fd);
}

static void read_file(void) {
  make_file("f", file_text, sizeof(file_text));
  for_each_bad(try_read_file);
  try_read_file((uint64)for_each_bad);   // text
  try_read_file((uint64)bad_addresses);  // rodata
  unlink("f");
}

static void try_write_file(uint64 a) {
  struct stat st;
  int fd = open("f", O_CREATE | O_RDWR);
  if (write(fd, (void *)a, 10) != -1)
    fail("write from %p", (void *)a);
  check(write(fd, (void *)a, 8192) == -1);
  check(fstat(fd, &st) == 0 && st.size == 0);
  close(fd);
}

static void write_file(void) {
  for_each_bad(try_write_file);
  unlink("f");
}

static void try_read_pipe(uint64 a) {
  int p[2];
  check(pipe(p) == 0 && write(p[1], "0123456789", 10) == 10);
  int n = read(p[0], (void *)a, 10);
  check(n == -1 || (straddles(a) && n == 1));
  check(read(p[0], scratch, 100) == (n == -1 ? 10 : 9));
  close(p[0]);
  close(p[1]);
}

static void read_pipe(void) {
  for_each_bad(try_read_pipe);
  try_read_pipe((uint64)for_each_bad);
}

static void try_write_pipe(uint64 a) {
  int p[2];
  check(pipe(p) == 0);
  int n = write(p[1], (void *)a, 10);
  check(n == -1 || (straddles(a) && n == 1));
  check(write(p[1], "x", 1) == 1);
  check(read(p[0], scratch, 100) == (n == -1 ? 1 : 2));
  close(p[0]);
  close(p[1]);
}

static void write_pipe(void) {
  for_each_bad(try_write_pipe);
}

static void try_console(uint64 a) {
  check(write(1, (void *)a, 1) == -1 || straddles(a));
}

static void write_console(void) {
  for_each_bad(try_console);
}

static void try_path(uint64 a) {
  const char *path = (const char *)a;
  if (straddles(a) && a < USER_END - 1)
    *(char *)a = 'a';  // a name that does not end
  check(open(path, O_RDONLY) == -1);
  check(open(path, O_CREATE | O_RDWR) == -1);
  check(exec(path, ARGS("x")) == -1);
  check(chdir(path) == -1);
  check(mkdir(path) == -1);
  check(mknod(path, 1, 1) == -1);
  check(unlink(path) == -1);
  check(link(path, "new") == -1);
  check(link("/true", path) == -1);
  check(open("new", O_RDONLY) == -1);
}

static void paths(void) {
  for_each_bad(try_path);
}

static void try_argv(uint64 a) {
  char *words[] = {scratch, (char *)a, NULL};
  scratch[0] = 0;
  if (a != 0)
    check(exec("/true", words) == -1);
  if (!straddles(a))
    check(exec("/true", (char **)a) == -1);
}

static void exec_argv(void) {
  uint64 end = ROUND_UP((uint64)sbrk(PAGE_SIZE), PAGE_SIZE);
  end = ROUND_UP((uint64)sbrk(0), PAGE_SIZE);
  for_each_bad(try_argv);
  *(char **)(end - 8) = scratch;  // an array that does not end
  check(exec("/true", (char **)(end - 8)) == -1);
  check(exec("/true", (char **)(end - 4)) == -1);
}

static void try_fstat(uint64 a) {
  int fd = open("/true", O_RDONLY);
  check(fstat(fd, (struct stat *)a) == -1);
  close(fd);
}

static void fstat_result(void) {
  for_each_bad(try_fstat);
  try_fstat((uint64)for_each_bad);
  try_fstat((uint64)bad_addresses);
}

static void try_pipe(uint64 a) {
  int next = dup(0);
  close(next);
  check(pipe((int *)a) == -1);
  check(dup(0) == next && dup(0) == next + 1);  // no descriptor was lost
  close(next);
  close(next + 1);
}

static void pipe_result(void) {
  for_each_bad(try_pipe);
  try_pipe((uint64)for_each_bad);
  try_pipe((uint64)bad_addresses);
}

static void try_wait(uint64 a) {
  if (a == 0)
    return;  // that is allowed
  int pid = must_fork();
  if (pid == 0)
    exit(5);
  check(wait((int *)a) == -1);
  int status = 0;
  check(wait(&status) == pid && status == 5);  // it was still there
}

static void wait_result(void) {
  for_each_bad(try_wait);
  try_wait((uint64)for_each_bad);
}

static void try_info(uint64 a) {
  check(meminfo((struct memory_info *)a) < 0);
  check(procinfo((struct process_info *)a, 1) < 0);
  check(stackinfo((struct stack_info *)a, 1) < 0);
}

static void info_result(void) {
  for_each_bad(try_info);
  try_info((uint64)for_each_bad);
}

static void counts(void) {
  int p[2], fd = open("f", O_CREATE | O_RDWR);
  check(pipe(p) == 0);
  check(write(fd, scratch, -1) == -1 && read(fd, scratch, -1) == -1);
  check(write(p[1], scratch, -1) == -1 && read(p[0], scratch, -1) == -1);
  check(write(fd, scratch, (int)0x80000000) == -1 && read(fd, scratch, (int)0x80000000) == -1);
  check(write(fd, scratch, 0) == 0 && read(fd, scratch, 0) == 0);
  check(write(p[1], scratch, 0) == 0);
  check(procinfo(NULL, -1) < 0 || procinfo(NULL, -1) == procinfo(NULL, 0));
  close(fd);
  unlink("f");
}

// Any page of the program may be taken for a name.
static void every_page(void) {
  for (uint64 a = 0; a < 300 * PAGE_SIZE; a += PAGE_SIZE)
    check(link("nothing", (char *)a) == -1);
}

// A failed write takes no block: were one lost each time, the disk would be full.
static void write_often(void) {
  for (int i = 0; i < 300; i++) {
    int fd = open("f", O_CREATE | O_WRONLY);
    check(fd >= 0 && write(fd, (char *)0xffffffffff, 1) == -1);
    close(fd);
    check(unlink("f") == 0);
  }
}

static void all_text(void) {
  int fd = open("f", O_CREATE | O_RDWR);
  check(write(fd, (const void *)for_each_bad, 16) == 16);  // text may be read
  close(fd);
  check(load_file("f", scratch, 100) == 16);
  check(memcmp(scratch, (const void *)for_each_bad, 16) == 0);
  unlink("f");
}

const struct test pointer_tests[] = {
    {"pointer-read-file", read_file, false},
    {"pointer-write-file", write_file, false},
    {"pointer-read-pipe", read_pipe, false},
    {"pointer-write-pipe", write_pipe, false},
    {"pointer-write-console", write_console, false},
    {"pointer-paths", paths, false},
    {"pointer-exec-argv", exec_argv, false},
    {"pointer-fstat", fstat_result, false},
    {"pointer-pipe", pipe_result, false},
    {"pointer-wait", wait_result, false},
    {"pointer-info", info_result, false},
    {"pointer-counts", counts, false},
    {"pointer-every-page", every_page, false},
    {"pointer-write-often", write_often, false},
    {"pointer-text", all_text, false},
    {NULL, NULL, false},
};
