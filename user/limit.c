// SPDX-License-Identifier: MIT
//
// limit n command...: run the command in an account of its own: the command and all that it starts
// may have n kernel stacks.  Every process has one until it exits.

#include "user/user.h"

#define MOST 0x1000000L

static char path[128];

// A name without a slash is looked for in the current directory, and then in the root.
static _Noreturn void run(char *argv[]) {
  exec(argv[0], argv);
  if (!strchr(argv[0], '/')) {
    snprintf(path, sizeof(path), "/%s", argv[0]);
    exec(path, argv);
  }
  fprintf(2, "limit: cannot run %s\n", argv[0]);
  exit(127);
}

int main(int argc, char *argv[]) {
  char *end = NULL;
  long n = argc > 2 ? strtol(argv[1], &end, 10) : 0;
  if (n < 1 || n > MOST || *end)
    die("usage: limit stacks command [argument...], stacks from 1 to %ld", MOST);
  int r = stacklimit((uint64)n * STACK_PAGES);
  if (r == -EAGAIN)
    die("limit: too many limits within each other");
  if (r < 0)
    die("limit: cannot set the limit (error %d)", -r);
  run(argv + 2);
}
