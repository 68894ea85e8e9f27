// SPDX-License-Identifier: MIT
//
// Accounts: the account of a process, and every account around it, pays for the kernel stack of the
// process from the moment it is handed out until it is given back.

#include "user/usertests/tests.h"

static struct stack_info stacks[64];
static struct process_info processes[64];

// Return what the kernel says about the process.
static struct process_info *info_of(int pid) {
  int n = procinfo(processes, 64);
  check(n > 0 && n <= 64);
  for (int i = 0; i < n; i++)
    if (processes[i].pid == pid)
      return &processes[i];
  fail("process %d is not listed", pid);
}

static uint64 used(void) {
  return info_of(getpid())->used;
}

// Run f in a child with a new account of n stacks.
static void run_limited(int n, void (*f)(uint64)) {
  if (must_fork() == 0) {
    check(stacklimit((uint64)n * STACK_PAGES) > 0);
    f((uint64)n);
    exit(0);
  }
  check(wait_status() == 0);
}

// Fork children that wait until end is closed, as many as possible.  Returns how many.
static int fork_all(int end[2]) {
  int n = 0, pid;
  char c;
  check(pipe(end) == 0);
  for (; n < 1000 && (pid = fork()) != 0; n++)
    if (pid < 0)
      return n;
  close(end[1]);
  exit(read(end[0], &c, 1));
}

static void end_all(const int end[2], int n) {
  close(end[1]);
  while (n-- > 0)
    check(wait_status() == 0);
  close(end[0]);
}

static void same_account(uint64 id) {
  check(info_of(getpid())->account == (int)id);
}

static void inherit(void) {
  struct process_info outside = *info_of(getpid());
  check(outside.account > 0 && outside.used <= outside.limit);
  check(run_child(same_account, (uint64)outside.account) == 0);
  if (must_fork() == 0) {
    int id = stacklimit(10 * STACK_PAGES);
    struct process_info *inside = info_of(getpid());
    check(id > outside.account && inside->account == id && inside->within == outside.account);
    check(inside->used == STACK_PAGES && inside->limit == 10 * STACK_PAGES);
    check(run_child(same_account, (uint64)id) == 0);
    exit(0);
  }
  check(wait_status() == 0);
  same_account((uint64)outside.account);
}

static void keeps_limit(uint64 n) {
  for (int i = 0; i < 3; i++) {
    int end[2], children = fork_all(end);
    check(children == (int)n - 1 && used() == n * STACK_PAGES);
    end_all(end, children);
    check(used() == STACK_PAGES);
  }
}

static void limits(void) {
  run_limited(1, keeps_limit);
  run_limited(2, keeps_limit);
  run_limited(20, keeps_limit);
}

// When wait returns, the stack that the child had can be used again.
static void fork_often(uint64 unused) {
  (void)unused;
  for (int i = 0; i < 1000; i++) {
    if (must_fork() == 0)
      exit(0);
    check(wait_status() == 0);
  }
}

// The same while other processes of the account exit on other harts.
static void replace_often(uint64 n) {
  for (int i = 0; i < 1000; i++) {
    if (i >= (int)n - 1)
      check(wait_status() == 0);
    if (must_fork() == 0) {
      for (volatile int k = 0; k < i % 7 * 1000; k++)
        ;
      exit(0);
    }
  }
  for (uint64 i = 1; i < n; i++)
    check(wait_status() == 0);
}

static void exact(void) {
  run_limited(2, fork_often);
  run_limited(4, replace_often);
}

// A process that makes an account of its own stays within the one it had.
static void escape(uint64 n) {
  int end[2], pid = must_fork();
  if (pid == 0) {
    check(stacklimit(1000 * STACK_PAGES) > 0);
    int children = fork_all(end);
    check(children == (int)n - 2);
    end_all(end, children);
    exit(0);
  }
  check(wait_status() == 0);
  check(stacklimit(1000 * STACK_PAGES) > 0);
  keeps_limit(n);
}

// A stack that is refused within an account is charged to none.
static void inner_limit(uint64 n) {
  if (must_fork() == 0) {
    check(stacklimit(2 * STACK_PAGES) > 0);
    keeps_limit(2);
    exit(0);
  }
  check(wait_status() == 0);
  keeps_limit(n);
}

static void nested(void) {
  run_limited(5, escape);
  run_limited(5, inner_limit);
}

static void nest_deep(uint64 n) {
  int r = 0;
  for (int i = 0; i < 100 && r >= 0; i++)
    r = stacklimit(n * STACK_PAGES);
  check(r == -EAGAIN);
  keeps_limit(n);
}

static void deep(void) {
  run_limited(3, nest_deep);
}

// Accounts pay for every stack in use, and for no other: a cached one belongs to no account.
static void cached(void) {
  uint64 before = used();
  int end[2], pid;
  char c;
  check(pipe(end) == 0);
  for (int i = 0; i < 9; i++)
    if ((pid = must_fork()) == 0) {
      close(end[1]);
      exit(read(end[0], &c, 1));
    }
  check(used() == before + 9 * STACK_PAGES);
  end_all(end, 9);
  check(used() == before);
  int n = stackinfo(stacks, 64), paid = 0;
  for (int i = 0; i < n && i < 64; i++)
    paid += stacks[i].account != 0;
  check(n <= 64 && used() == (uint64)paid * STACK_PAGES);
}

// A fork that finds no memory costs nothing.
static void no_memory(uint64 unused) {
  (void)unused;
  uint64 before = used();
  sbrk_all();
  for (int i = 0; i < 10; i++)
    check(fork() == -1);
  check(used() == before);
}

static void memory(void) {
  check(run_child(no_memory, 0) == 0);
}

// Have the kernel end this process, and not keep its stack.
static void fault(uint64 fd) {
  static const char test[] = "WILD_SP lo+2048 break";
  write((int)fd, test, sizeof(test) - 1);
}

static void touch_null(uint64 unused) {
  *(volatile char *)unused = 1;
}

// However a process ends, it pays no longer.
static void die_often(uint64 unused) {
  (void)unused;
  int fd = open("/crash", O_RDWR);
  for (int i = 0; i < 3; i++) {
    if (fd >= 0)
      check(run_child(fault, (uint64)fd) == -1 && used() == STACK_PAGES);
    check(run_child(touch_null, 0) == -1 && used() == STACK_PAGES);
    int pid = must_fork();
    if (pid == 0)
      for (;;)
        ;
    check(kill(pid) == 0 && wait_status() == -1 && used() == STACK_PAGES);
  }
}

static void ended(void) {
  run_limited(2, die_often);
}

static const char *past_limit;  // what has the kernel use more than the account has

// Fork a child that when it is told to has the kernel use nearly all of its stack, or goes past the
// limit, says so, and waits for the end.
static int fork_deep(int fd, const int told[2], const int said[2], const int end[2]) {
  char c;
  int pid = must_fork();
  if (pid == 0) {
    close(end[1]);
    read(told[0], &c, 1);
    const char *test = c == 'p' ? past_limit : "STACK_USE 12000";
    check(write(fd, test, strlen(test)) == (int)strlen(test));
    write(said[1], "x", 1);
    exit(read(end[0], &c, 1));
  }
  return pid;
}

// Where stacks grow the account pays for what they have, and who passes its limit is killed.
static void grow_to_limit(uint64 n) {
  int fd = open("/crash", O_RDWR), told[2], said[2], end[2];
  char c;
  if (fd < 0 || used() == STACK_PAGES)
    return;
  check(used() == 1 && pipe(told) == 0 && pipe(said) == 0 && pipe(end) == 0);
  fork_deep(fd, told, said, end);
  fork_deep(fd, told, said, end);
  check(used() == 3 && write(told[1], "x", 1) == 1 && read(said[0], &c, 1) == 1);
  check(used() == 2 + STACK_PAGES && 1 + 2 * STACK_PAGES > n * STACK_PAGES);
  check(write(told[1], "p", 1) == 1 && wait_status() == -1 && used() == 1 + STACK_PAGES);
  close(end[1]);
  check(wait_status() == 0 && used() == 1);
}

static void grown(void) {
  past_limit = "STACK_USE 12000";
  run_limited(2, grow_to_limit);
}

// It holds a lock: it goes on with pages that nobody pays for, and then in the reserve.
static void grown_held(void) {
  past_limit = "EXHAUST_SLEEPLOCK past";
  run_limited(2, grow_to_limit);
}

// The account pays for a child that outlives its parent as before.
static void orphaned(void) {
  int end[2], id[2], account, pid, outside = info_of(getpid())->account;
  char c;
  check(pipe(end) == 0 && pipe(id) == 0);
  if (must_fork() == 0) {
    account = stacklimit(2 * STACK_PAGES);
    pid = must_fork();
    if (pid > 0) {
      write(id[1], &account, sizeof(account));
      write(id[1], &pid, sizeof(pid));
      exit(0);
    }
    close(end[1]);
    exit(read(end[0], &c, 1));
  }
  check(wait_status() == 0);
  check(read(id[0], &account, sizeof(account)) == (int)sizeof(account));
  check(read(id[0], &pid, sizeof(pid)) == (int)sizeof(pid));
  struct process_info *info = info_of(pid);
  check(info->account == account && info->within == outside && info->used == STACK_PAGES);
  close(end[1]);
}

// Zombies of a limited account use up the numbers, except the last eighth.
static void leave_zombies(void) {
  for (int failed = 0; failed < 3;) {
    int pid = fork();
    if (pid == 0)
      exit(0);
    failed = pid < 0 ? failed + 1 : 0;
    if (pid < 0)
      sleep(1);
  }
}

static void zombies(void) {
  int ready[2], end[2];
  char c;
  check(pipe(ready) == 0 && pipe(end) == 0);
  if (must_fork() == 0) {
    close(end[1]);
    check(stacklimit(30 * STACK_PAGES) > 0);
    leave_zombies();
    write(ready[1], "x", 1);
    exit(read(end[0], &c, 1));
  }
  close(ready[1]);
  check(read(ready[0], &c, 1) == 1);
  fork_often(0);
  close(end[1]);
  check(wait_status() == 0);
}

static void bad_limits(uint64 unused) {
  (void)unused;
  struct process_info before = *info_of(getpid()), *after;
  static const uint64 bad[] = {0, 1, STACK_PAGES - 1, ~0UL, ~0UL - STACK_PAGES, 1UL << 63};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    check(stacklimit(bad[i]) == -EINVAL);
  after = info_of(getpid());
  check(after->account == before.account && after->used == before.used);
  check(stacklimit(~0UL >> 1) > 0 && stacklimit(1000000) > 0 && stacklimit(STACK_PAGES) > 0);
  check(fork() == -1);
}

static void refused(void) {
  check(run_child(bad_limits, 0) == 0);
}

const struct test account_tests[] = {
    {"account-inherit", inherit, false}, {"account-limit", limits, false},
    {"account-exact", exact, false},     {"account-nested", nested, false},
    {"account-deep", deep, false},       {"account-cached", cached, false},
    {"account-memory", memory, true},    {"account-ended", ended, false},
    {"account-grow", grown, false},      {"account-held", grown_held, false},
    {"account-orphan", orphaned, false}, {"account-zombies", zombies, false},
    {"account-refused", refused, false}, {NULL, NULL, false},
};
