// SPDX-License-Identifier: MIT
//
// sharing: two processes make the same calls at a time, each on a hart and on objects of its own.
// make sharing watches which memory of the kernel both touch (docs/sharing.md).
//
// Each operation is done several times.  The call getpid says that one begins, and uptime that it
// has ended: nothing else here makes these calls.  Who is done first keeps its hart busy, so that
// no thread of the other moves there.

#include "user/user.h"

enum { ROUNDS = 16, SPIN = 20000000, SIZE = 1024 };

static char buf[SIZE];
static int own[2], to_partner[2], from_partner[2];

static _Noreturn void fail(const char *what) {
  die("sharing: %s failed", what);
}

static void memory(void) {
  char *p = sbrk(8192);
  p[0] = p[4096] = 1;
  sbrk(-8192);
}

static void fork_exit_wait(void) {
  int pid = fork();
  if (pid == 0)
    exit(0);
  if (pid < 0 || wait(NULL) != pid)
    fail("fork");
}

static void fork_exec_wait(void) {
  int pid = fork(), status;
  if (pid == 0) {
    exec("true", ARGS("true"));
    exit(1);
  }
  if (pid < 0 || wait(&status) != pid || status != 0)
    fail("exec");
}

static void make_pipe(void) {
  int fd[2];
  if (pipe(fd) < 0)
    fail("pipe");
  close(fd[0]);
  close(fd[1]);
}

static void use_pipe(void) {
  if (write(own[1], buf, 64) != 64 || read(own[0], buf, 64) != 64)
    fail("pipe");
}

static void ping(void) {
  if (write(to_partner[1], buf, 1) != 1 || read(from_partner[0], buf, 1) != 1)
    fail("ping");
}

static void open_close(void) {
  int fd = open("file", O_RDWR);
  if (fd < 0)
    fail("open");
  close(fd);
}

static void read_file(void) {
  int fd = open("file", O_RDONLY);
  if (fd < 0 || read(fd, buf, SIZE) != SIZE)
    fail("read");
  close(fd);
}

static const struct operation {
  const char *name;
  void (*run)(void);
} operations[] = {
    {"sbrk", memory},         {"fork", fork_exit_wait}, {"exec", fork_exec_wait},
    {"make-pipe", make_pipe}, {"pipe", use_pipe},       {"pingpong", ping},
    {"open", open_close},     {"read", read_file},
};
enum { OPERATIONS = sizeof(operations) / sizeof(operations[0]) };

static _Noreturn void partner(void) {
  while (read(to_partner[0], buf, 1) == 1)
    write(from_partner[1], buf, 1);
  exit(0);
}

// Copy a program, whose pages and inode are then the party's own.
static void copy(const char *path, const char *to) {
  int in = open(path, O_RDONLY), out = open(to, O_CREATE | O_WRONLY), n;
  while ((n = read(in, buf, SIZE)) > 0)
    if (writeall(out, buf, n) != n)
      fail(to);
  if (n < 0)
    fail(path);
  close(in);
  close(out);
}

// Make a directory with what the operations use, before there is any hart to wait for.
static void make_directory(const char *path) {
  if (mkdir(path) < 0 || chdir(path) < 0)
    fail(path);
  copy("/true", "true");
  int file = open("file", O_CREATE | O_WRONLY);
  if (writeall(file, buf, SIZE) != SIZE)
    fail("file");
  close(file);
  chdir("/");
}

static void make_partner(void) {
  if (pipe(own) < 0 || pipe(to_partner) < 0 || pipe(from_partner) < 0)
    fail("pipe");
  int pid = fork();
  if (pid == 0)
    partner();
  if (pid < 0)
    fail("fork");
}

// Keep the hart busy.
static void spin(int n) {
  while (n-- > 0)
    __asm__ volatile("");
}

static _Noreturn void party(const char *directory) {
  if (chdir(directory) < 0)
    fail(directory);
  make_partner();
  close(0);
  close(2);          // no file is left that both have
  write(1, buf, 1);  // ready
  spin(SPIN);        // for longer than both need to become ready
  for (int i = 0; i < OPERATIONS; i++)
    for (int round = 0; round < ROUNDS; round++) {
      getpid();
      operations[i].run();
      uptime();
    }
  write(1, buf, 1);
  for (;;)
    spin(SPIN);
}

// Start a party, and wait until it is ready.  Returns from where its next byte comes: it is done.
static int start(const char *directory) {
  int done[2];
  if (pipe(done) < 0)
    fail("pipe");
  int pid = fork();
  if (pid < 0)
    fail("fork");
  if (pid == 0) {
    close(1);
    dup(done[1]);
    close(done[0]);
    close(done[1]);
    exec("/sharing", ARGS("sharing", directory));
    fail("exec");
  }
  close(done[1]);
  if (read(done[0], buf, 1) != 1)
    fail(directory);
  return done[0];
}

int main(int argc, char *argv[]) {
  if (argc > 1)
    party(argv[1]);
  printf("sharing: rounds %d", ROUNDS);
  for (int i = 0; i < OPERATIONS; i++)
    printf(" %s", operations[i].name);
  printf("\n");
  make_directory("party0");
  make_directory("party1");
  int one = start("party0"), other = start("party1");
  return read(one, buf, 1) == 1 && read(other, buf, 1) == 1 ? 0 : 1;
}
