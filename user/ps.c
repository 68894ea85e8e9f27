// SPDX-License-Identifier: MIT
//
// ps [-m]: processes, and memory; -m: memory only.

#include "user/user.h"

static void show_processes(void) {
  static const char *states[] = {"?", "running", "ready", "sleeping", "zombie"};
  int room = procinfo(NULL, 0) + 16;  // some may come in between
  struct process_info *p = malloc((size_t)room * sizeof(*p));
  if (p == NULL)
    die("ps: no memory");
  int n = procinfo(p, room);
  if (n < 0)
    die("ps: error %d", -n);
  printf("  PID PARENT STATE    HART  PAGES NAME\n");
  for (int i = 0; i < n && i < room; i++) {
    int state = p[i].state < 0 || p[i].state > PROCESS_ZOMBIE ? 0 : p[i].state;
    printf("%5d %6d %-8s %4d %6lu %s\n", p[i].pid, p[i].parent, states[state], p[i].hart,
           p[i].pages, p[i].name);
  }
}

static void show_memory(void) {
  struct memory_info m;
  int error = meminfo(&m);
  if (error < 0)
    die("ps: error %d", -error);
  printf("memory: %lu KiB, %lu KiB free, %lu KiB promised, %lu kernel stacks\n", m.total / 1024,
         m.free / 1024, m.reserved / 1024, m.stacks);
  printf(
      "stacks: %lu cached, %lu unmapped lazily; since boot %lu mapped, %lu reused, %lu unmapped\n",
      m.cached, m.lazy, m.mapped, m.reused, m.unmapped);
  printf("since boot: %lu fences of all harts, %lu allocations refused\n", m.fences, m.refused);
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
