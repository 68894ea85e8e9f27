// SPDX-License-Identifier: MIT
//
// One call after another, each with hostile arguments.  What takes long, such as a change of the
// disk, is rarer than what does not.
//
// A call that may wait for ever has a guard: a child that kills this process if the call takes
// longer than GUARD_TICKS.

#include "user/fuzz/fuzz.h"
#include "vm/layout.h"

#define GUARD_TICKS 2
#define MUCH        70000000  // bytes: no room is left for a copy
#define CHILD_CALLS 12
#define DEPTH_MAX   2

struct work work;

// --- Making a call ---

static void report(int number, int outcome) {
  struct record r = {(uint8)number, (uint8)outcome};
  write(REPORT_FD, &r, sizeof(r));
}

static void show(int number, const uint64 *arg) {
  static int made;
  fprintf(TEXT_FD, "fuzz: process %d call %d: %d(0x%lx, 0x%lx, 0x%lx)\n", getpid(), ++made, number,
          arg[0], arg[1], arg[2]);
}

long reported(int number, uint64 a, uint64 b, uint64 c, bool announce) {
  uint64 arg[] = {a, b, c};
  int row = number > 0 && number < UNKNOWN ? number : UNKNOWN;
  if (work.verbose)
    show(number, arg);
  if (announce)
    report(row, BEGUN);
  long result = syscall(number, a, b, c);
  if (number == SYS_fork && result == 0)
    return 0;  // its parent reports it
  report(row, (result < 0 ? FAILED : SUCCEEDED) + (announce ? ANNOUNCED : 0));
  if (work.verbose)
    fprintf(TEXT_FD, "fuzz: process %d got 0x%lx\n", getpid(), (uint64)result);
  return result;
}

// --- Children ---

void take_zombies(void) {
  while (reap(NULL) > 0)
    ;
}

int begin_child(void) {
  if (work.depth >= DEPTH_MAX)
    return -1;
  if (work.in_turn)
    take_zombies();  // so that the next one is this child's
  int pid = (int)reported(SYS_fork, 0, 0, 0, false);
  if (pid == 0)
    work.depth++;
  else if (pid > 0 && work.in_turn)
    wait((int *)KSTACK_BASE);  // for a zombie, which it cannot hand over
  return pid;
}

// Begin a guard of this process.  Returns its pid, or -1.
static int guard(void) {
  int self = getpid();
  int pid = fork();
  if (pid == 0) {
    sleep(GUARD_TICKS);
    kill(self);
    exit(0);
  }
  return pid;
}

static void dismiss(int pid) {
  int ended;
  kill(pid);
  do
    ended = wait(NULL);
  while (ended > 0 && ended != pid);
}

static void guarded(int number, uint64 a, uint64 b, uint64 c) {
  int pid = guard();
  if (pid < 0)
    return;
  reported(number, a, b, c, true);
  dismiss(pid);
}

// --- Files and pipes ---

// Return whether this transfer with fd may wait: fd is a device, or that end of a pipe.
static bool may_wait(int number, uint64 fd) {
  struct stat st;
  return fstat((int)fd, &st) == 0 ? st.type == T_DEVICE : syscall(number, fd, 0, 0) == 0;
}

static void transfer(int number) {
  uint64 fd = value_descriptor();
  int n = value_count();
  uint64 at = value_address(n);
  if (!may_wait(number, fd))
    reported(number, fd, at, (uint64)n, false);
  else if (one_in(16))
    guarded(number, fd, at, (uint64)n);
  else
    reported(number, fd, at, one_in(2) ? 0 : ~(uint64)(n & 0xff), false);
}

static void call_read(void) {
  transfer(SYS_read);
}

static void call_write(void) {
  transfer(SYS_write);
}

// A pipe, and something through it: what it holds is there to be read, so nobody waits.
static void call_pipe(void) {
  uint64 at = value_address(8);
  if (reported(SYS_pipe, at, 0, 0, false) < 0)
    return;
  int fd[2];
  memcpy(fd, (void *)at, sizeof(fd));
  for (int i = random_below(4); i > 0; i--) {
    int n = 1 + random_below(1000);
    long put = reported(SYS_write, (uint64)fd[1], value_address(n), (uint64)n, false);
    n = value_count();
    if (put > 0 && n != 0)
      reported(SYS_read, (uint64)fd[0], value_address(n), (uint64)n, false);
  }
  if (one_in(2))
    reported(SYS_close, (uint64)fd[random_below(2)], 0, 0, false);
}

static void call_fstat(void) {
  reported(SYS_fstat, value_descriptor(), value_address(sizeof(struct stat)), 0, false);
}

static void call_dup(void) {
  reported(SYS_dup, value_descriptor(), 0, 0, false);
}

static void call_close(void) {
  reported(SYS_close, value_descriptor(), 0, 0, false);
}

static void call_open(void) {
  static const int flags[] = {O_RDONLY, O_WRONLY,           O_RDWR,
                              O_CREATE, O_CREATE | O_RDWR,  O_CREATE | O_RDWR | O_TRUNC,
                              O_TRUNC,  O_WRONLY | O_TRUNC, -1};
  uint64 path = value_path();
  reported(SYS_open, path, one_in(8) ? value_number() : (uint64)flags[random_below(9)], 0, false);
}

static void call_mknod(void) {
  static const int majors[] = {0, 1, 2, 63, 64, 65, -1, 32767, 65536};
  uint64 major = (uint64)majors[random_below(ARRAY_SIZE(majors))];
  reported(SYS_mknod, value_path(), major, value_number(), false);
}

static void call_link(void) {
  uint64 old = value_path();
  reported(SYS_link, old, value_path(), 0, false);
}

static void call_unlink(void) {
  reported(SYS_unlink, value_path(), 0, 0, false);
}

static void call_mkdir(void) {
  reported(SYS_mkdir, value_path(), 0, 0, false);
}

static void call_chdir(void) {
  reported(SYS_chdir, value_path(), 0, 0, false);
}

// --- Processes ---

static void call_fork(void) {
  if (begin_child() != 0)
    return;
  random_begin(random_next());
  make_calls(random_below(CHILD_CALLS));
  reported(SYS_exit, value_number(), 0, 0, true);
}

// Become this program anew.
static void become_fuzz(void) {
  char number[5][24];
  snprintf(number[0], sizeof(number[0]), "@%lu", random_next() >> 2);
  snprintf(number[1], sizeof(number[1]), "%d", work.in_turn);
  snprintf(number[2], sizeof(number[2]), "%d", work.verbose);
  snprintf(number[3], sizeof(number[3]), "%d", work.first);
  snprintf(number[4], sizeof(number[4]), "%d", work.last);
  reported(SYS_exec, (uint64) "/fuzz",
           (uint64)ARGS("fuzz", number[0], number[1], number[2], number[3], number[4]), 0, true);
}

// In a child, which may become another program, or this one.
static void call_exec(void) {
  static const char *const programs[] = {"/true", "/true", "/fuzz", "/README", "/", "/nothing"};
  const char *path = programs[random_below(ARRAY_SIZE(programs))];
  if (begin_child() != 0)
    return;
  if (strcmp(path, "/fuzz") == 0) {
    become_fuzz();
  } else if (one_in(2)) {
    reported(SYS_exec, (uint64)path, value_argv(), 0, true);
  } else {
    uint64 hostile = value_path();
    reported(SYS_exec, hostile, value_argv(), 0, true);
  }
  exit(0);
}

static void call_wait(void) {
  uint64 status = one_in(4) ? 0 : value_address(4);
  if (reap((int *)KSTACK_BASE) == -EAGAIN || one_in(200))
    guarded(SYS_wait, status, 0, 0);
  else
    reported(SYS_wait, status, 0, 0, false);
}

static void call_reap(void) {
  reported(SYS_reap, one_in(4) ? 0 : value_address(4), 0, 0, false);
}

static void call_kill(void) {
  int self = getpid(), pid = (int)value_number();
  if (!work.in_turn && one_in(2))
    pid = self - 8 + random_below(16);
  else if (work.depth > 0 && one_in(8))
    pid = self;
  else if (one_in(3))
    pid = self + 1;  // often its child, if there is one
  if (pid < work.first || pid > work.last)
    reported(SYS_kill, (uint64)pid, 0, 0, true);
}

static void call_sleep(void) {
  if (one_in(200))
    guarded(SYS_sleep, 0x7fffffff, 0, 0);
  else
    reported(SYS_sleep, one_in(20) ? 1 : value_number() | 0x80000000, 0, 0, false);
}

static void call_exit(void) {
  if (work.depth > 0 && one_in(4))
    reported(SYS_exit, value_number(), 0, 0, true);
}

static void call_getpid(void) {
  reported(SYS_getpid, value_number(), value_number(), value_number(), false);
}

// --- Memory and the rest ---

static void call_sbrk(void) {
  static const int steps[] = {0,       1,          -1,          4096,           -4096,
                              10000,   -10000,     100000,      1 << 30,        2147483647,
                              -100000, -(1 << 30), -2147483647, -2147483647 - 1};
  static const int hows[] = {1, 1, 2, 2, 0, -1};
  int step = one_in(150) ? MUCH : steps[random_below(ARRAY_SIZE(steps))];
  uint64 how = (uint64)hows[random_below(ARRAY_SIZE(hows))];
  long top = reported(SYS_sbrk, (uint64)step, how, 0, false);
  if (top > 0 && !one_in(8))
    values_trim();
}

static void call_uptime(void) {
  reported(SYS_uptime, value_number(), 0, 0, false);
}

static void call_poweroff(void) {
  uint64 code = value_number();
  if (code > 255)
    reported(SYS_poweroff, code, 0, 0, false);
}

static void call_list(void) {
  bool stacks = one_in(2);
  int n = one_in(2) ? random_below(40) : (int)value_number();
  int each = stacks ? sizeof(struct stack_info) : sizeof(struct process_info);
  int some = n < 0 || n > 100 ? 100 : n;
  reported(stacks ? SYS_stackinfo : SYS_procinfo, value_address(some * each), (uint64)n, 0, false);
}

static void call_meminfo(void) {
  reported(SYS_meminfo, value_address(sizeof(struct memory_info)), 0, 0, false);
}

static void call_stacklimit(void) {
  if (work.depth > 0 || one_in(8))
    reported(SYS_stacklimit, one_in(2) ? STACK_PAGES * (one_in(2) ? 1 : 100) : value_number(), 0, 0,
             false);
}

static void call_sync(void) {
  reported(SYS_sync, value_number(), 0, 0, false);
}

static void call_unknown(void) {
  static const int numbers[] = {0, 22, 63, 71, -1, 0x7fffffff, 128};
  if (one_in(8))
    reported(numbers[random_below(ARRAY_SIZE(numbers))], value_number(), 0, 0, false);
}

static const struct {
  void (*call)(void);
  int weight;
} kinds[] = {
    {call_read, 90},    {call_write, 70},     {call_pipe, 10},     {call_fstat, 90},
    {call_dup, 30},     {call_close, 50},     {call_open, 40},     {call_mknod, 5},
    {call_link, 14},    {call_unlink, 30},    {call_mkdir, 5},     {call_chdir, 25},
    {call_fork, 3},     {call_exec, 3},       {call_wait, 60},     {call_reap, 50},
    {call_kill, 30},    {call_sleep, 8},      {call_exit, 4},      {call_getpid, 30},
    {call_sbrk, 30},    {call_uptime, 25},    {call_poweroff, 20}, {call_list, 25},
    {call_meminfo, 12}, {call_stacklimit, 4}, {call_sync, 2},      {call_unknown, 1},
};

void make_calls(int count) {
  int all = 0;
  for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
    all += kinds[i].weight;
  while (count-- > 0) {
    int at = random_below(all);
    size_t i = 0;
    for (; at >= kinds[i].weight; i++)
      at -= kinds[i].weight;
    kinds[i].call();
  }
}
