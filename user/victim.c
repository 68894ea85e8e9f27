// SPDX-License-Identifier: MIT
//
// victim shared: a process is killed in a transaction while another one has one open, so that the
// file system becomes read-only.  Says what can still be done.
//
// victim CALL COUNT: COUNT processes make the call, one after another, for a test that lets the
// kernel kill them in it.  Says how many were killed, and what is missing afterwards.

#include "user/user.h"

static char block[3000];

static void call_fork(void) {
  if (fork() == 0)
    exit(0);
}

static void call_exit(void) {
  int fd[2];
  if (open("/victim.old", O_RDWR) < 0 || pipe(fd) < 0)
    die("victim: no files");
  uptime();
  exit(0);
}

static void call_pipe(void) {
  int fd[2];
  pipe(fd);
}

static void call_close(void) {
  int fd[2];
  if (pipe(fd) < 0)
    die("victim: no pipe");
  close(fd[0]);
  uptime();
  close(fd[1]);
}

static void call_lazy(void) {
  int fd[2];
  char *page = sbrklazy(1 << 22);
  if (pipe(fd) < 0 || write(fd[1], "x", 1) != 1)
    die("victim: no pipe");
  uptime();
  read(fd[0], page + (1 << 21), 1);
}

static void call_exec(void) {
  exec("/true", ARGS("true"));
}

static void call_open(void) {
  open("/victim.old", O_RDWR);
}

static void call_create(void) {
  open("/victim.new", O_CREATE | O_RDWR);
}

static void call_mkdir(void) {
  mkdir("/victim.new");
}

static void call_unlink(void) {
  unlink("/victim.old");
}

static void call_write(void) {
  int fd = open("/victim.new", O_CREATE | O_RDWR);
  uptime();
  write(fd, block, sizeof(block));
}

static void call_turn(void) {
  int fd[2];
  if (pipe(fd) < 0)
    die("victim: no pipe");
  uptime();
  write(fd[1], block, sizeof(block));
}

static const struct {
  const char *name;
  void (*make)(void);
} calls[] = {
    {"fork", call_fork},   {"exit", call_exit},     {"pipe", call_pipe},   {"close", call_close},
    {"lazy", call_lazy},   {"exec", call_exec},     {"open", call_open},   {"create", call_create},
    {"mkdir", call_mkdir}, {"unlink", call_unlink}, {"write", call_write}, {"turn", call_turn},
};

static void (*find(const char *name))(void) {
  for (int i = 0; i < (int)(sizeof(calls) / sizeof(calls[0])); i++)
    if (strcmp(name, calls[i].name) == 0)
      return calls[i].make;
  die("victim: there is no call %s", name);
}

// Run one victim.  Returns whether the kernel has killed it.
static int run(void (*make)(void)) {
  int status, fd = open("/victim.old", O_CREATE | O_RDWR);
  close(fd);
  unlink("/victim.new");
  int pid = fork();
  if (pid < 0)
    die("victim: cannot fork");
  if (pid == 0) {
    uptime();
    make();
    exit(0);
  }
  while (wait(&status) != pid)
    ;
  return status == -1;
}

static void provoke(const char *what) {
  int fd = open("/crash", O_WRONLY);
  if (fork() == 0) {
    write(fd, what, (int)strlen(what));
    exit(0);
  }
  close(fd);
}

static void shared(void) {
  int keeps = open("/victim.old", O_CREATE | O_RDWR), status;
  provoke("TRANSACTION 20");
  sleep(5);
  provoke("EXHAUST_TRANSACTION half");
  wait(&status);
  wait(&status);
  printf("victim: create %d mkdir %d unlink %d write %d sync %d half %d read %d\n",
         open("/victim.2", O_CREATE), mkdir("/victim.3"), unlink("/true"), write(keeps, block, 9),
         sync() < 0, open("/half", O_RDONLY), read(keeps, block, 1));
}

int main(int argc, char *argv[]) {
  if (argc == 2 && strcmp(argv[1], "shared") == 0) {
    shared();
    return exec("/true", ARGS("true"));
  }
  if (argc != 3)
    die("usage: victim CALL COUNT");
  void (*make)(void) = find(argv[1]);
  int killed = 0, count = atoi(argv[2]);
  run(make);  // what stays in caches is there from now on
  long before = free_pages();
  for (int i = 0; i < count; i++)
    killed += run(make);
  printf("victim: %d of %d killed, %ld pages lost\n", killed, count,
         pages_lost(before, free_pages()));
  unlink("/victim.old");
  unlink("/victim.new");
  return 0;
}
