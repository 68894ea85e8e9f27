// SPDX-License-Identifier: MIT
//
// victim shared: a process is killed in a transaction while another one has one open, so that the
// file system becomes read-only.  Says what can still be done.
//
// victim shares: a process writes to a file that it shares, and a test has the kernel kill it as
// the write ends.  Writes on, and says how many bytes were written.
//
// victim waits: waits for the end of another process's transaction.  Says that it does no more.
//
// victim asleep: children that have ever more of their kernel stack read a pipe in which nothing
// comes.  Says which of them sleep, and kills these.
//
// victim born: one whose stack is too small for a child's first frames forks in its reserve, which
// it has since a timer interrupt.
//
// victim spare: overflows that need the reserve soon after others have used it: one in an interrupt
// handler, and one while there is no memory.  Says when both are over.
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

static void call_fill(void) {
  char *page = sbrklazy(1 << 22);
  uptime();
  pipe((int *)(page + (1 << 21)));
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
    {"fill", call_fill},
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

static _Noreturn void provoke_here(const char *what) {
  write(open("/crash", O_WRONLY), what, (int)strlen(what));
  exit(0);
}

static void provoke(const char *what) {
  if (fork() == 0)
    provoke_here(what);
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

static void shares(void) {
  int fd = open("/victim.new", O_CREATE | O_RDWR);
  if (fork() == 0) {
    uptime();
    write(fd, block, sizeof(block));
    exit(0);
  }
  wait(NULL);
  printf("victim: write %d\n", write(fd, block, 9));
}

static void waits(void) {
  provoke("TRANSACTION 10");
  sleep(5);
  printf("victim: sync %d\n", sync() < 0);
  wait(NULL);
}

static void spin(void) {
  for (volatile int i = 0; i < 100000000; i++)
    ;
}

static void born(void) {
  int other = fork(), status;
  if (other == 0)
    for (;;)
      spin();  // so that there are ticks
  if (fork() == 0) {
    int crash = open("/crash", O_WRONLY);
    write(crash, "STACK_ROOM 368", 14);
    spin();
    fork();
    exit(7);
  }
  wait(&status);
  printf("victim: status %d\n", status);
  kill(other);
}

static void asleep(void) {
  int fd[2], pids[48], n = 0, status, dead;
  if (pipe(fd) < 0)
    die("victim: no pipe");
  for (; n < 48; n++)
    if ((pids[n] = fork()) == 0) {
      int crash = open("/crash", O_WRONLY);
      snprintf(block, sizeof(block), "STACK_ROOM %d", 320 + 16 * n);
      if (write(crash, block, (int)strlen(block)) > 0)
        read(fd[0], block, 1);
      exit(0);
    }
  sleep(20);
  while ((dead = reap(&status)) > 0)
    for (int i = 0; i < n; i++)
      pids[i] = pids[i] == dead ? 0 : pids[i];
  for (int i = 0; i < n; i++)
    if (pids[i]) {
      printf("victim: pid %d sleeps\n", pids[i]);
      kill(pids[i]);
      wait(&status);
    }
}

// Start a child that does that when a byte comes through the pipe of which this returns the end.
static int ready_to(const char *what) {
  int fd[2];
  char c;
  if (pipe(fd) < 0)
    die("victim: no pipe");
  if (fork() == 0) {
    close(fd[1]);
    read(fd[0], &c, 1);
    provoke_here(what);
  }
  close(fd[0]);
  return fd[1];
}

static void go(int fd) {
  write(fd, "x", 1);
  close(fd);
  wait(NULL);
}

static void spare(void) {
  int fd = ready_to("EXHAUST_SPINLOCK past");
  provoke("IN_INTERRUPT EXHAUST_STACK past");
  wait(NULL);
  go(fd);
  for (int i = 0; i < 8; i++) {  // a tick in between would bring new pages, too
    fd = ready_to("EXHAUST_SLEEPLOCK past");
    uint64 n = sbrk_all();
    go(fd);
    sbrk(-(int)n);
    provoke("EXHAUST_SPINLOCK past");
    wait(NULL);
  }
  printf("victim: all are dead\n");
}

static const struct {
  const char *name;
  void (*play)(void);
} scenes[] = {
    {"shared", shared}, {"shares", shares}, {"waits", waits},
    {"asleep", asleep}, {"born", born},     {"spare", spare},
};

int main(int argc, char *argv[]) {
  for (int i = 0; argc == 2 && i < (int)(sizeof(scenes) / sizeof(scenes[0])); i++) {
    if (strcmp(argv[1], scenes[i].name) == 0) {
      scenes[i].play();
      return exec("/true", ARGS("true"));
    }
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
