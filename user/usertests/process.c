// SPDX-License-Identifier: MIT
//
// fork, exit, wait, orphans, time, preemption.

#include "user/usertests/tests.h"

static void fork_pids(void) {
  int me = getpid(), p[2], told = 0;
  check(pipe(p) == 0);
  int pid = must_fork();
  if (pid == 0) {
    int mine = getpid();
    write(p[1], &mine, sizeof(mine));
    exit(0);
  }
  check(read(p[0], &told, sizeof(told)) == (int)sizeof(told));
  check(told == pid && pid != me && getpid() == me && wait(NULL) == pid);
}

static void exit_status(void) {
  int values[] = {0, 1, 255, 256, -1, -2, 0x7fffffff, (int)0x80000000};
  for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
    if (must_fork() == 0)
      exit(values[i]);
    check(wait_status() == values[i]);
  }
}

static void wait_none(void) {
  int status = 77;
  check(wait(&status) == -1 && wait(NULL) == -1 && status == 77);
}

static void wait_any(void) {
  bool seen[20] = {false};
  for (int i = 0; i < 20; i++)
    if (must_fork() == 0)
      exit(i);
  for (int i = 0; i < 20; i++) {
    int status = wait_status();
    check(status >= 0 && status < 20 && !seen[status]);
    seen[status] = true;
  }
  wait_none();
}

// reap: wait that does not wait.
static void reap_ended(void) {
  int p[2], status = 77;
  char c;
  check(reap(&status) == -ECHILD && pipe(p) == 0);
  int pid = must_fork();
  if (pid == 0) {
    close(p[1]);
    read(p[0], &c, 1);
    exit(5);
  }
  check(reap(&status) == -EAGAIN && reap(NULL) == -EAGAIN && status == 77);
  close(p[1]);
  while (reap((int *)KSTACK_BASE) == -EAGAIN)
    sleep(1);
  check(reap((int *)KSTACK_BASE) == -EFAULT);
  check(reap(&status) == pid && status == 5 && reap(NULL) == -ECHILD);
}

// wait returns after the child's memory has come back.
static void wait_memory(void) {
  struct memory_info before, after;
  for (int i = 0; i < 50; i++) {
    check(meminfo(&before) == 0);
    if (must_fork() == 0) {
      memset(sbrk(64 * PAGE_SIZE), 1, 64 * PAGE_SIZE);
      exit(0);
    }
    check(wait_status() == 0 && meminfo(&after) == 0);
    check(after.free + 16 * PAGE_SIZE >= before.free);
  }
}

static void fork_exit_often(void) {
  for (int i = 0; i < 500; i++) {
    int pid = must_fork();
    if (pid == 0)
      exit(i & 1);
    check(wait_status() == (i & 1));
  }
}

static int fork_until_failure(void) {
  int n = 0;
  for (; n < 1000; n++) {
    int pid = fork();
    if (pid == 0)
      exit(0);
    if (pid < 0)
      break;
  }
  return n;
}

static void fork_limit(void) {
  int n = fork_until_failure();
  check(n < 1000);
  check(n > 60);
  for (int i = 0; i < n; i++)
    check(wait_status() == 0);
  wait_none();
  int again = fork_until_failure();
  for (int i = 0; i < again; i++)
    check(wait_status() == 0);
  check(again >= n - 2);
}

// As many as there may be, all alive at the same time.
static void fork_limit_alive(void) {
  int p[2], n = 0;
  char c;
  check(pipe(p) == 0);
  for (; n < 1000; n++) {
    int pid = fork();
    if (pid < 0)
      break;
    if (pid == 0) {
      close(p[1]);
      exit(read(p[0], &c, 1) == 0 ? 0 : 1);
    }
  }
  check(n > 60 && n < 1000);
  close(p[1]);
  for (int i = 0; i < n; i++)
    check(wait_status() == 0);
  close(p[0]);
}

static void fork_tree(uint64 depth) {
  if (depth == 0)
    return;
  for (int i = 0; i < 3; i++)
    if (must_fork() == 0) {
      fork_tree(depth - 1);
      exit(0);
    }
  for (int i = 0; i < 3; i++)
    check(wait_status() == 0);
}

static void fork_trees(void) {
  fork_tree(4);
}

// Processes that fork without end, until a fork fails in one of them.
static void fork_bomb(void) {
  int p[2];
  char c;
  check(pipe(p) == 0);
  if (must_fork() == 0) {
    int fd;
    while ((fd = open("stop", O_RDONLY)) < 0)
      if (fork() < 0)
        close(open("stop", O_CREATE | O_RDWR));
    exit(0);
  }
  close(p[1]);
  check(wait_status() == 0 && read(p[0], &c, 1) == 0);  // and the orphans have ended
  check(unlink("stop") == 0);
}

static int find_process(int pid, struct process_info *found) {
  static struct process_info list[64];
  int n = procinfo(list, 64);
  for (int i = 0; i < n && i < 64; i++)
    if (list[i].pid == pid) {
      *found = list[i];
      return 0;
    }
  return -1;
}

// An orphan goes to init, which waits for it.
static void orphan(void) {
  int p[2], end[2], pid = 0;
  struct process_info info;
  check(pipe(p) == 0 && pipe(end) == 0);
  if (must_fork() == 0) {
    pid = must_fork();
    if (pid > 0) {
      write(p[1], &pid, sizeof(pid));
      exit(0);
    }
    close(p[1]);
    close(end[1]);
    exit(read(end[0], &pid, 1));
  }
  check(read(p[0], &pid, sizeof(pid)) == (int)sizeof(pid) && wait_status() == 0);
  check(find_process(pid, &info) == 0 && info.parent == 1);
  close(end[1]);
  for (int i = 0; i < 100 && find_process(pid, &info) == 0; i++)
    sleep(1);
  check(find_process(pid, &info) == -1);
  wait_none();
}

static void orphans(void) {
  for (int i = 0; i < 100; i++) {
    if (must_fork() == 0) {
      must_fork();
      must_fork();
      exit(0);
    }
    check(wait_status() == 0);
  }
}

// Parents and children that exit at the same time.
static void exit_races(void) {
  for (int i = 0; i < 50; i++) {
    if (must_fork() == 0) {
      for (int k = 0; k < 5; k++)
        if (must_fork() == 0)
          exit(0);
      if (i % 2)
        wait(NULL);
      exit(0);
    }
    check(wait_status() == 0);
  }
}

static void sleep_time(void) {
  int start = uptime();
  check(sleep(0) == 0 && sleep(-1) == 0);
  check(sleep(5) == 0);
  int took = uptime() - start;
  check(took >= 5 && took < 50);
  check(sleep(1) == 0 && uptime() > start + 5);
}

static void sleepers(void) {
  int start = uptime();
  for (int i = 0; i < 20; i++)
    if (must_fork() == 0)
      exit(sleep(i % 5 + 1));
  for (int i = 0; i < 20; i++)
    check(wait_status() == 0);
  check(uptime() - start >= 5 && uptime() - start < 60);
}

// More spinning processes than harts, and others still get on.
static void preemption(void) {
  int pids[12], p[2];
  char c;
  check(pipe(p) == 0);
  for (int i = 0; i < 12; i++) {
    pids[i] = must_fork();
    if (pids[i] == 0) {
      for (volatile int k = 0; k < 1000000; k++)
        ;
      write(p[1], "x", 1);
      for (;;)
        ;
    }
  }
  for (int i = 0; i < 12; i++)
    check(read(p[0], &c, 1) == 1);  // every one has got on
  check(sleep(1) == 0);
  for (int i = 0; i < 12; i++)
    check(kill(pids[i]) == 0);
  for (int i = 0; i < 12; i++)
    check(wait_status() == -1);
}

const struct test process_tests[] = {
    {"fork-pids", fork_pids, false},
    {"exit-status", exit_status, false},
    {"wait-none", wait_none, false},
    {"wait-any", wait_any, false},
    {"reap", reap_ended, false},
    {"wait-memory", wait_memory, false},
    {"fork-exit", fork_exit_often, false},
    {"fork-limit", fork_limit, false},
    {"fork-limit-alive", fork_limit_alive, true},
    {"fork-tree", fork_trees, false},
    {"fork-bomb", fork_bomb, false},
    {"orphan", orphan, false},
    {"orphans", orphans, false},
    {"exit-races", exit_races, false},
    {"sleep", sleep_time, false},
    {"sleepers", sleepers, false},
    {"preemption", preemption, false},
    {NULL, NULL, false},
};
