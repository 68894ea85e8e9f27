// SPDX-License-Identifier: MIT
#include "kern/sched/held.h"

void held_remove(uint64 entry) {
  struct thread *t = thread_current();
  for (uint32 i = t->held_count; i > 0; i--)
    if (t->held[i - 1] == entry) {
      t->held_count--;
      for (; i <= t->held_count; i++)
        t->held[i - 1] = t->held[i];
      return;
    }
}
