// SPDX-License-Identifier: MIT
//
// tour KIND: calls that a kernel answers wrongly if it has a bug of that kind, for the lab `tour`.
//
//   recursion   opens files until there is no descriptor left, and looks for the root's parent,
//               and for a child that is not there
//   array       runs a program with many arguments, lists many processes, and walks a long path
//   stray       sleeps, sets a limit for stacks, and kills
//   dead        asks for what many ended processes have left behind, in pipes and files, too
//   slip        computes with fractions, and gives bad pointers to calls
//
// What it finds goes to verdict(), where the grader stops.

#include "user/user.h"

enum { CROWD = 96, WRITER = CROWD / 2, LISTED = 24 };

static uint64 checks, failures;

// Print what was found.
void verdict(uint64 failed, uint64 all);

__attribute__((noinline)) void verdict(uint64 failed, uint64 all) {
  printf("tour: %lu of %lu checks failed\n", failed, all);
}

static void check(const char *what, int64 got, int64 wanted) {
  checks++;
  if (got == wanted)
    return;
  failures++;
  printf("tour: %s returned %ld, not %ld\n", what, got, wanted);
}

static int must_fork(void) {
  int pid = fork();
  if (pid < 0)
    die("tour: cannot fork");
  return pid;
}

static void must_pipe(int p[2]) {
  if (pipe(p) < 0)
    die("tour: no pipe");
}

static int status_of_child(void) {
  int status = 0;
  if (wait(&status) < 0)
    die("tour: a child is missing");
  return status;
}

// --- recursion -----------------------------------------------------------------------------------

static void recursion(void) {
  struct stat root, above;
  check("stat of /", stat("/", &root), 0);
  check("stat of /..", stat("/..", &above), 0);
  check("the inode of /..", above.ino, root.ino);
  check("stat of /../../tour", stat("/../../tour", &above), 0);
  check("wait without a child", wait(NULL), -1);
  int fd = 0, opened = 0;
  while ((fd = dup(1)) >= 0)
    check("dup", fd, 3 + opened++);
  check("dup without a free descriptor", fd, -1);
  check("the count of descriptors", opened, 13);
  check("close", close(9), 0);
  check("open with one free descriptor", open("/tour", O_RDONLY), 9);
}

// --- array ---------------------------------------------------------------------------------------

static void array(void) {
  struct stat st;
  check("stat of a long path", stat("/./././././././././././././././././././././././././tour", &st),
        0);

  static char *words[30];
  for (uint32 i = 0; i < ARRAY_SIZE(words) - 1; i++)
    words[i] = (char *)(i == 0 ? "tour" : i == 1 ? "count" : "x");
  if (must_fork() == 0)
    exit(exec("/tour", words));
  check("a program's count of its arguments", status_of_child(), ARRAY_SIZE(words) - 1);

  static struct process_info info[LISTED * 2];
  int stop[2];
  must_pipe(stop);
  int before = procinfo(info, ARRAY_SIZE(info));
  for (int i = 0; i < LISTED; i++)
    if (must_fork() == 0) {
      char c;
      close(stop[1]);
      exit(read(stop[0], &c, 1));
    }
  check("a list of many processes", procinfo(info, ARRAY_SIZE(info)), before + LISTED);
  check("the last of them", info[before + LISTED - 1].pid, getpid() + 1 + LISTED);
  close(stop[1]);
  for (int i = 0; i < LISTED; i++)
    check("the status of a child", status_of_child(), 0);
  close(stop[0]);
}

// --- stray ---------------------------------------------------------------------------------------

static void stray(void) {
  int before = uptime();
  check("sleep", sleep(2), 0);
  check("two ticks later", uptime() - before >= 2, true);
  check("a limit for stacks", stacklimit(64 * STACK_PAGES) > 0, true);
  check("a limit of none", stacklimit(0), -EINVAL);
  int child = must_fork();
  if (child == 0)
    for (;;)
      sleep(100);
  check("kill of a child", kill(child), 0);
  check("its status", status_of_child(), -1);
  check("kill when it has gone", kill(child), -1);
}

// --- dead ----------------------------------------------------------------------------------------

// Start many children.  Each waits for a byte, and then exits with its number; the one in the
// middle reads from the file before it waits, and writes to the pipe `left` after.
static void crowd(const int go[2], const int left[2], int file) {
  for (int i = 0; i < CROWD; i++)
    if (must_fork() == 0) {
      char c = 'x';
      close(go[1]);
      if (i == WRITER)
        read(file, &c, 1);
      read(go[0], &c, 1);
      if (i == WRITER)
        writeall(left[1], &c, 1);
      exit(i);
    }
}

// Wait without a call that sleeps: that is tested elsewhere.
static void pass(int ticks) {
  for (int end = uptime() + ticks; uptime() < end;)
    ;
}

static int reap_next(int *status) {
  int pid;
  while ((pid = reap(status)) == -EAGAIN)
    pass(1);
  return pid;
}

static void dead(void) {
  int go[2], left[2], file = open("/tour", O_RDONLY);
  struct stat st;
  char c = 0;
  must_pipe(go);
  must_pipe(left);
  int first = getpid() + 1;
  crowd(go, left, file);
  close(left[1]);
  close(go[1]);
  check("the byte that a child wrote", read(left[0], &c, 1), 1);
  check("the end of the pipe", read(left[0], &c, 1), 0);
  pass(3);
  check("stat of the file that a child read", fstat(file, &st), 0);
  for (int i = 0; i < CROWD; i++) {
    int status = -1, pid = reap_next(&status);
    check("the status of a child", status, pid - first);
  }
}

// --- slip ----------------------------------------------------------------------------------------

// End with other numbers in the registers that functions preserve.
static __attribute__((noinline)) _Noreturn void end_with_zeros(void) {
  __asm__ volatile("fmv.d.x fs0, zero; fmv.d.x fs1, zero; fmv.d.x fs2, zero" ::
                       : "fs0", "fs1", "fs2");
  exit(3);
}

static void slip(void) {
  volatile double third = 1.0 / 3;
  double kept = third * 3;  // in a register
  if (must_fork() == 0)
    end_with_zeros();
  check("a child's status", status_of_child(), 3);
  check("a number after another process", (int64)(kept * 200), 200);
  if (must_fork() == 0)
    exit((int)(kept * 100));
  check("a number in a child", status_of_child(), 100);
  int fd = open("/tour", O_RDONLY);
  check("read to a bad address", read(fd, (void *)8, 1), -1);
  check("write from a bad address", write(1, (void *)8, 1), -1);
  check("open of a bad address", open((const char *)8, O_RDONLY), -1);
}

int main(int argc, char *argv[]) {
  static const struct {
    const char *name;
    void (*run)(void);
  } kinds[] = {
      {"recursion", recursion}, {"array", array}, {"stray", stray}, {"dead", dead}, {"slip", slip}};
  const char *kind = argc > 1 ? argv[1] : "";
  if (strcmp(kind, "count") == 0)
    return argc;
  for (uint32 i = 0; i < ARRAY_SIZE(kinds); i++)
    if (strcmp(kind, kinds[i].name) == 0) {
      kinds[i].run();
      verdict(failures, checks);
      return failures != 0;
    }
  die("usage: tour recursion|array|stray|dead|slip");
}
