// SPDX-License-Identifier: MIT
//
// ps [-m]: processes by pid, the accounts that pay for their kernel stacks, and memory; with -m
// memory only.

#include "user/user.h"

static void show_accounts(const struct process_info *p, int n) {
  printf("ACCOUNT WITHIN STACKS  LIMIT\n");
  for (int i = 0; i < n; i++) {
    int k = 0;
    while (k < i && p[k].account != p[i].account)
      k++;
    if (k < i || p[i].account == 0)
      continue;
    printf("%7d %6d %6lu ", p[i].account, p[i].within, (p[i].used + STACK_PAGES - 1) / STACK_PAGES);
    if (p[i].limit == ~0UL)
      printf("%6s\n", "-");
    else
      printf("%6lu\n", p[i].limit / STACK_PAGES);
  }
}

// The kernel lists processes by the low bits of their pids (Shell sort).
static void sort_by_pid(struct process_info *p, int n) {
  for (int gap = n / 2; gap > 0; gap /= 2) {
    for (int i = gap; i < n; i++) {
      struct process_info moved = p[i];
      int k = i;
      for (; k >= gap && p[k - gap].pid > moved.pid; k -= gap)
        p[k] = p[k - gap];
      p[k] = moved;
    }
  }
}

static void show_processes(void) {
  static const char *states[] = {"?", "running", "ready", "sleeping", "zombie"};
  int room = procinfo(NULL, 0) + 16;  // more may appear meanwhile
  struct process_info *p = malloc((size_t)room * sizeof(*p));
  if (!p)
    die("ps: no memory");
  int n = procinfo(p, room);
  if (n < 0)
    die("ps: cannot list the processes (error %d)", -n);
  if (n > room)
    n = room;
  sort_by_pid(p, n);
  printf("  PID PARENT STATE    HART  PAGES ACCOUNT NAME\n");
  for (int i = 0; i < n; i++) {
    int state = p[i].state < 0 || p[i].state > PROCESS_ZOMBIE ? 0 : p[i].state;
    printf("%5d %6d %-8s %4d %6lu %7d %s\n", p[i].pid, p[i].parent, states[state], p[i].hart,
           p[i].pages, p[i].account, p[i].name);
  }
  show_accounts(p, n);
}

static void show_memory(void) {
  struct memory_info m;
  int err = meminfo(&m);
  if (err < 0)
    die("ps: cannot read the memory figures (error %d)", -err);
  printf("memory: %lu KiB, %lu KiB free, %lu KiB promised, %lu kernel stacks\n", m.total / 1024,
         m.free / 1024, m.reserved / 1024, m.stacks);
  printf(
      "stacks: %lu cached, %lu unmapped lazily; since boot %lu mapped, %lu reused, %lu unmapped\n",
      m.cached, m.lazy, m.mapped, m.reused, m.unmapped);
  printf("since boot: %lu fences of all harts, %lu allocations refused, %lu stacks enlarged\n",
         m.fences, m.refused, m.grown);
}

int main(int argc, char *argv[]) {
  bool memory_only = argc == 2 && strcmp(argv[1], "-m") == 0;
  if (argc > 1 && !memory_only)
    die("usage: ps [-m]");
  if (!memory_only)
    show_processes();
  show_memory();
  return 0;
}
