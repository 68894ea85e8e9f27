// SPDX-License-Identifier: MIT
//
// sleep ticks: wait that many tenths of a second.

#include "user/user.h"

int main(int argc, char *argv[]) {
  char *end = NULL;
  long ticks = argc == 2 ? strtol(argv[1], &end, 10) : -1;
  if (ticks < 0 || ticks > 0x7fffffff || *end)
    die("usage: sleep ticks");
  return sleep((int)ticks) < 0;
}
