// SPDX-License-Identifier: MIT
//
// The calls that tell about the kernel: stacks, processes, memory.

#include "user/usertests/tests.h"

static struct stack_info stacks[64];
static struct process_info processes[64];

static void stacks_known(void) {
  int total = stackinfo(NULL, 0), n = stackinfo(stacks, 64);
  bool found = false;
  check(total > 2 && n == total);
  for (int i = 0; i < n && i < 64; i++) {
    struct stack_info *s = &stacks[i];
    check(s->hi - s->lo == KSTACK_SIZE && s->lo % KSTACK_SIZE == 0);
    check(s->depth <= s->peak && s->peak <= KSTACK_SIZE);
    check(s->kind >= STACK_THREAD && s->kind <= STACK_SHORT);
    for (int k = 0; k < i; k++)
      check(s->hi <= stacks[k].lo || s->lo >= stacks[k].hi);
    found |= s->pid == getpid() && s->running && strcmp(s->name, "usertests") == 0;
  }
  check(found);
}

static void stacks_some(void) {
  memset(stacks, 0x77, sizeof(stacks));
  check(stackinfo(stacks, 1) > 2 && stacks[0].hi != 0x7777777777777777);
  check(stacks[1].hi == 0x7777777777777777);
}

// Have the kernel kill this process after a jump of sp to far down its stack.
static void jump_down(uint64 fd) {
  static const char test[] = "WILD_SP lo+2048 break";
  write((int)fd, test, sizeof(test) - 1);
}

// The next owner of the stack finds nothing there.
static void not_deep(uint64 unused) {
  (void)unused;
  for (int n = stackinfo(stacks, 64); n > 0; n--)
    if (stacks[n - 1].pid == getpid())
      check(stacks[n - 1].peak < KSTACK_SIZE / 2);
}

static void stacks_clean(void) {
  int fd = open("/crash", O_RDWR);
  for (int i = 0; i < 3 && fd >= 0; i++)
    check(run_child(jump_down, (uint64)fd) == -1 && run_child(not_deep, 0) == 0);
}

// Return how many of init, this process and its child pid, which sleeps, are listed as they are.
static int find_known(int pid) {
  int n = procinfo(processes, 64), found = 0;
  check(n == procinfo(NULL, 0) && n >= 3);
  for (int i = 0; i < n && i < 64; i++) {
    struct process_info *p = &processes[i];
    check(p->state >= PROCESS_RUNNING && p->state <= PROCESS_ZOMBIE);
    if (p->pid == 1)
      found += p->parent == 0 && strcmp(p->name, "init") == 0;
    if (p->pid == getpid())
      found += p->state == PROCESS_RUNNING && p->pages > 3 && strcmp(p->name, "usertests") == 0;
    if (p->pid == pid)
      found += p->state == PROCESS_SLEEPING && p->parent == getpid();
  }
  return found;
}

static void processes_known(void) {
  int pid = must_fork(), found = 0;
  if (pid == 0) {
    sleep(100000);
    exit(0);
  }
  for (int i = 0; i < 100 && found < 3; i++) {
    sleep(1);
    found = find_known(pid);
  }
  check(found == 3 && kill(pid) == 0 && wait_status() == -1);
}

static void memory_known(void) {
  struct memory_info before, after;
  check(meminfo(&before) == 0 && before.free <= before.total && before.stacks > 0);
  char *a = sbrk(64 * PAGE_SIZE);
  check(meminfo(&after) == 0 && after.total == before.total);
  check(after.free <= before.free - 64 * PAGE_SIZE && a[0] == 0);
  check(sbrk(-64 * PAGE_SIZE) != (char *)-1 && meminfo(&after) == 0);
  check(after.free + 4 * PAGE_SIZE >= before.free);
}

// An invalid code fails, and the machine goes on.
static void poweroff_refused(void) {
  check(poweroff(256) < 0 && poweroff(-1) < 0);
}

const struct test info_tests[] = {
    {"info-stacks", stacks_known, false},
    {"info-stacks-some", stacks_some, false},
    {"info-stacks-clean", stacks_clean, false},
    {"info-processes", processes_known, false},
    {"info-memory", memory_known, false},
    {"info-poweroff", poweroff_refused, false},
    {NULL, NULL, false},
};
