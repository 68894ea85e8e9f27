// SPDX-License-Identifier: MIT
//
// The edges of the calls: each is a row of the table in docs/interface.md, and test/test_user.py
// compares the two ("usertests @edges" prints them).

#include "user/usertests/tests.h"

#define BAD   ((void *)KSTACK_BASE)
#define LARGE (MAXFILE * BLOCK_SIZE)

static bool listing;

static void edge(const char *call, const char *what, const char *result, bool holds) {
  if (!holds)
    fail("%s: %s: not %s", call, what, result);
  if (listing)
    printf("| %s | %s | %s |\n", call, what, result);
}

// Run /true with that many arguments.  Returns its status, or 4 if exec failed.
static int run_true(int count) {
  static char *words[40], word[] = "w";
  for (int i = 0; i < count; i++)
    words[i] = word;
  words[count] = NULL;
  if (must_fork() == 0) {
    exec("/true", words);
    exit(4);
  }
  return wait_status();
}

static void exec_edges(void) {
  make_file("empty", "", 0);
  edge("exec", "no such file, a directory, an empty file", "-1",
       exec("nothing", ARGS("w")) == -1 && exec("/", ARGS("w")) == -1 &&
           exec("empty", ARGS("w")) == -1);
  unlink("empty");
  edge("exec", "`argv` is 0", "-1", exec("/true", NULL) == -1);
  edge("exec", "no argument at all", "runs", run_true(0) == 0);
  edge("exec", "31 arguments", "runs", run_true(31) == 0);
  edge("exec", "32 arguments", "runs", run_true(32) == 0);
  edge("exec", "33 arguments", "-1", run_true(33) == 4);
  edge("exec", "a path of 128 bytes", "-1", exec(long_string('/', 128), ARGS("w")) == -1);
}

static void process_edges(void) {
  int status = 0, pid, n = 0;
  edge("wait", "no child", "-1", wait(&status) == -1);
  if ((pid = must_fork()) == 0)
    exit(0x12345678);
  edge("wait", "a bad pointer", "-1, the child stays", wait(BAD) == -1);
  edge("kill", "a child that has ended", "0", kill(pid) == 0);
  edge("exit", "a status of more than a byte", "all of it arrives",
       wait(&status) == pid && status == 0x12345678);
  if ((pid = must_fork()) == 0)
    exit(0);
  edge("wait", "`status` is 0", "the pid", wait(NULL) == pid);
  edge("kill", "0", "-1", kill(0) == -1);
  edge("kill", "negative, or no process has the number", "-1",
       kill(-1) == -1 && kill((int)0x80000000) == -1 && kill(0x7fffffff) == -1 && kill(pid) == -1);
  edge("kill", "1", "-1", kill(1) == -1);
  while ((pid = fork()) > 0)
    n++;
  if (pid == 0)
    exit(0);
  edge("fork", "more processes than there may be", "-1", pid == -1 && n > 60);
  while (wait(NULL) > 0)
    ;
  int start = uptime();
  edge("sleep", "negative", "0, at once", sleep(-1) == 0 && uptime() - start < 10);
}

static void memory_edges(void) {
  struct memory_info before, after;
  char *a = sbrk(0);
  edge("sbrk", "0", "the break", sbrk(0) == a);
  edge("sbrk", "down by more than the whole size", "the break, nothing changes",
       sbrk(-(int)(uint64)a - 1) == a && sbrk((int)0x80000000) == a && sbrk(0) == a);
  edge("sbrk", "down below the heap's beginning", "-1",
       sbrk(-(int)(a - first_break) - 1) == (char *)-1 && sbrk(0) == a);
  meminfo(&before);
  a = (char *)syscall(SYS_sbrk, 64 * PAGE_SIZE, 7);
  meminfo(&after);
  edge("sbrk", "`how` neither 1 nor 2", "eager", after.free + 64 * PAGE_SIZE <= before.free);
  edge("sbrk", "up by more than the memory there is", "-1",
       after.free > 900UL << 20 || sbrk(900 << 20) == (char *)-1);
  while (sbrklazy(1 << 30) != (char *)-1)
    ;
  edge("sbrk", "up beyond 2^38", "-1", sbrklazy(1 << 30) == (char *)-1);
}

static void pipe_edges(void) {
  int p[2], last = 0, fd;
  edge("pipe", "a bad pointer", "-1, no descriptor stays",
       pipe(BAD) == -1 && (last = dup(0)) == 3 && close(last) == 0);
  check(pipe(p) == 0);
  edge("read", "no byte, from an empty pipe", "0", read(p[0], scratch, 0) == 0);
  edge("read", "n < 0, from a pipe", "-1", read(p[0], scratch, -1) == -1);
  edge("write", "n < 0, to a pipe", "-1", write(p[1], scratch, -1) == -1);
  check(write(p[1], "ab", 2) == 2);
  edge("read", "a bad pointer, from a pipe", "-1, the bytes stay",
       read(p[0], BAD, 2) == -1 && read(p[0], scratch, 9) == 2 && scratch[0] == 'a');
  edge("fstat", "a pipe", "-1", fstat(p[0], (struct stat *)scratch) == -1);
  close(p[0]);
  edge("write", "to a pipe that nobody reads", "-1", write(p[1], scratch, 1) == -1);
  edge("write", "no byte, to a pipe that nobody reads", "0", write(p[1], scratch, 0) == 0);
  close(p[1]);
  while ((fd = dup(0)) >= 0)
    last = fd;
  edge("dup", "all 16 descriptors in use", "-1", last == 15 && dup(0) == -1);
  edge("open", "all 16 in use, with `O_CREATE`", "-1, no file", open("f", O_CREATE) == -1);
  close(15);
  check(open("f", O_RDONLY) == -1);
  edge("pipe", "one free descriptor", "-1", pipe(p) == -1);
  while (--last > 2)
    close(last);
}

static void file_edges(void) {
  struct stat st;
  edge("read", "descriptor -1, 16 or closed", "-1",
       read(-1, scratch, 1) == -1 && read(16, scratch, 1) == -1 && read(9, scratch, 1) == -1);
  edge("close", "descriptor -1, 16 or closed", "-1",
       close(-1) == -1 && close(16) == -1 && close(9) == -1);
  make_file("f", "abc", 3);
  int fd = open("f", O_RDWR), fd2;
  edge("read", "n < 0, from a file", "-1", read(fd, scratch, -1) == -1);
  edge("write", "n < 0, to a file", "-1", write(fd, scratch, -1) == -1);
  edge("read", "no byte, to a bad pointer", "0", read(fd, BAD, 0) == 0);
  edge("fstat", "a bad pointer", "-1", fstat(fd, BAD) == -1);
  edge("read", "0x7fffffff bytes", "as many as there are", read(fd, scratch, 0x7fffffff) == 3);
  edge("read", "a bad pointer, at the end", "0", read(fd, BAD, 1) == 0);
  edge("write", "no byte", "0", write(fd, BAD, 0) == 0);
  edge("write", "a bad pointer, to a file", "-1, nothing changes",
       write(fd, BAD, 5) == -1 && fstat(fd, &st) == 0 && st.size == 3);
  edge("chdir", "a file", "-1", chdir("f") == -1);
  edge("link", "a directory, or to a name that exists", "-1",
       link(".", "g") == -1 && link("f", "f") == -1);
  edge("mkdir", "`\"\"`, `/` or a name that exists", "-1",
       mkdir("") == -1 && mkdir("/") == -1 && mkdir("f") == -1);
  edge("open", "`O_WRONLY` and `O_RDWR`", "for writing only",
       (fd2 = open("f", 3)) > 0 && read(fd2, scratch, 1) == -1 && write(fd2, "a", 1) == 1);
  close(fd2);
  edge("open", "`O_TRUNC`, for reading only", "cuts the file",
       (fd2 = open("f", O_TRUNC)) > 0 && fstat(fd2, &st) == 0 && st.size == 0);
  close(fd2);
  close(fd);
  unlink("f");
}

static void name_edges(void) {
  int fd;
  edge("open", "`\"\"`", "the current directory", (fd = open("", O_RDONLY)) > 0);
  close(fd);
  edge("chdir", "`\"\"`", "0, it stays", chdir("") == 0);
  edge("open", "a directory, for writing or with `O_CREATE`", "-1",
       open(".", O_WRONLY) == -1 && open(".", O_RDWR) == -1 && open(".", O_CREATE) == -1);
  edge("open", "a path of 128 bytes", "-1", open(long_string('/', 128), O_RDONLY) == -1);
  make_file("fourteenletter", "", 0);
  edge("open", "a name of more than 14 bytes", "the first 14 count",
       (fd = open("fourteenletters", O_RDONLY)) > 0);
  close(fd);
  unlink("fourteenletter");
  check(mkdir("d") == 0 && mkdir("d/e") == 0);
  edge("unlink", "`.`, `..`, `/`, or a directory that is not empty", "-1",
       unlink(".") == -1 && unlink("d/..") == -1 && unlink("/") == -1 && unlink("d") == -1);
  check(unlink("d/e") == 0 && unlink("d") == 0 && mknod("n", 2, 0) == 0);
  edge("mknod", "a name that exists", "-1", mknod("n", 2, 0) == -1);
  edge("open", "a device that the kernel does not have", "a descriptor",
       (fd = open("n", O_RDWR)) > 0);
  edge("read", "a device that the kernel does not have", "-1", read(fd, scratch, 1) == -1);
  edge("write", "a device that the kernel does not have", "-1", write(fd, scratch, 1) == -1);
  close(fd);
  check(unlink("n") == 0 && syscall(SYS_mknod, "n", 0x10001, 0) == 0);
  edge("mknod", "a major of more than 16 bits", "its low 16 bits",
       (fd = open("n", O_WRONLY)) > 0 && write(fd, "", 0) == 0);
  close(fd);
  unlink("n");
}

static void disk_edges(void) {
  static char name[] = "f0";
  make_file("small", scratch, 3 * BLOCK_SIZE);
  make_file("tail", scratch, SCRATCH_SIZE);
  int tail = open("tail", O_WRONLY);
  int fd = open(name, O_CREATE | O_RDWR), n = 0, last = 0;
  for (; n + SCRATCH_SIZE <= LARGE; n += SCRATCH_SIZE)
    check(write(fd, scratch, SCRATCH_SIZE) == SCRATCH_SIZE);
  edge("write", "across the size of the largest file", "as many as fit",
       write(fd, scratch, SCRATCH_SIZE) == LARGE - n);
  edge("write", "at the size of the largest file", "-1", write(fd, scratch, 1) == -1);
  do {
    close(fd);
    name[1]++;
    check((fd = open(name, O_CREATE | O_RDWR)) > 0);
    for (n = 0; n < 200 && (last = write(fd, scratch, BLOCK_SIZE)) == BLOCK_SIZE;)
      n++;
  } while (last == BLOCK_SIZE);
  close(fd);
  check(write(tail, scratch, SCRATCH_SIZE) == SCRATCH_SIZE);
  edge("write", "on a full disk", "-1", write(tail, scratch, 1) == -1);
  check(unlink("small") == 0);
  edge("write", "more than the disk has room for", "as many as fit",
       write(tail, scratch, 5 * BLOCK_SIZE) == 3 * BLOCK_SIZE);
  close(tail);
  check(unlink("tail") == 0);
  for (; name[1] >= '0'; name[1]--)
    check(unlink(name) == 0);
}

static void edges(void) {
  process_edges();
  exec_edges();
  pipe_edges();
  file_edges();
  name_edges();
  disk_edges();
  memory_edges();
}

void list_edges(void) {
  listing = true;
  edges();
}

const struct test edge_tests[] = {
    {"edges", edges, true},
    {NULL, NULL, false},
};
