// SPDX-License-Identifier: MIT
//
// kstacks [-p]: every kernel stack: a table, then a picture; -p: the table only, plain.
//
// In the picture a stack stands with its low end, where it would overflow, on the left:
//   |xxx|..........::::####|xxx|   x guard   . never used   : used before   # in use now
// so the used part grows from the right guard towards the left one.  A stack outside the window has
// no guards (VMAP_STACK=n), and one that grows blanks where nothing is mapped (KSTACK_GROW=y).

#include "user/user.h"
#include "vm/layout.h"

#define BAR 44  // columns; a line has 79

static const char *kinds[] = {"?", "thread", "idle", "emerg", "irq", "short"};

static const char *kind_name(int kind) {
  return kind < 0 || kind > STACK_SHORT ? kinds[0] : kinds[kind];
}

static void show_table(const struct stack_info *s, int n) {
  printf(" PID NAME         ACCT KIND  HART LOW              HIGH               NOW  PEAK\n");
  for (int i = 0; i < n; i++) {
    char hart[8] = "-";
    if (s[i].hart >= 0)
      snprintf(hart, sizeof(hart), "%d", s[i].hart);
    printf("%4d %-12s %4d %-6s %2s%c %016lx %016lx %5lu %5lu\n", s[i].pid, s[i].name, s[i].account,
           kind_name(s[i].kind), hart, s[i].running ? '*' : ' ', s[i].lo, s[i].hi, s[i].depth,
           s[i].peak);
  }
}

// Return the columns that stand for that many bytes of a stack of that size, rounded up.
static int columns(uint64 bytes, uint64 size) {
  uint64 n = size ? (bytes * BAR + size - 1) / size : 0;
  return n > BAR ? BAR : (int)n;
}

static void show_bar(const struct stack_info *s) {
  char bar[BAR + 1];
  uint64 size = s->hi - s->lo;
  int now = columns(s->depth, size), peak = columns(s->peak, size);
  int mapped = columns((uint64)s->pages * PAGE_SIZE, size);
  if (peak < now)
    peak = now;
  memset(bar, ' ', BAR);
  memset(bar + BAR - mapped, '.', (size_t)mapped);
  memset(bar + BAR - peak, ':', (size_t)peak);
  memset(bar + BAR - now, '#', (size_t)now);
  bar[BAR] = 0;
  const char *guard = s->lo >= KSTACK_BASE && s->lo < KSTACK_END ? "xxx" : "   ";
  printf("%4d %-13s |%s|%s|%s| %3lu%%\n", s->pid, s->name, guard, bar, guard,
         size ? s->peak * 100 / size : 0);
}

static void show_picture(const struct stack_info *s, int n) {
  printf("\n  x guard   . never used   : used before   # in use now   (* above: running)\n");
  printf("%18s |   |low%*s|   | peak\n", "", BAR - 3, "high");
  for (int i = 0; i < n; i++)
    show_bar(&s[i]);
}

int main(int argc, char *argv[]) {
  bool plain = argc == 2 && strcmp(argv[1], "-p") == 0;
  if (argc > 1 && !plain)
    die("usage: kstacks [-p]");
  int room = stackinfo(NULL, 0) + 16;  // more may appear meanwhile
  struct stack_info *s = malloc((size_t)room * sizeof(*s));
  if (!s)
    die("kstacks: no memory");
  int n = stackinfo(s, room);
  if (n < 0)
    die("kstacks: cannot list the stacks (error %d)", -n);
  if (n > room)
    n = room;
  show_table(s, n);
  if (!plain)
    show_picture(s, n);
  return 0;
}
