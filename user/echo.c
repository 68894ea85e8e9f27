// SPDX-License-Identifier: MIT
//
// echo [word...]: print the words, in one write, so that a device gets them as one command.

#include "user/user.h"

static char line[4096];  // arguments never take more than their page

int main(int argc, char *argv[]) {
  size_t n = 0;
  for (int i = 1; i < argc; i++)
    n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%s", i > 1 ? " " : "", argv[i]);
  line[n++] = '\n';
  return writeall(1, line, (int)n) < 0;
}
