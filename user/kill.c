// SPDX-License-Identifier: MIT
//
// kill pid...: kill processes.

#include "user/user.h"

int main(int argc, char *argv[]) {
  int failed = 0;
  if (argc < 2)
    die("usage: kill pid...");
  for (int i = 1; i < argc; i++) {
    char *end;
    long pid = strtol(argv[i], &end, 10);
    if (*end || end == argv[i] || pid <= 0 || kill((int)pid) < 0) {
      if (pid == 1)
        fprintf(2, "kill: process 1 may not be killed\n");
      else
        fprintf(2, "kill: there is no process %s\n", argv[i]);
      failed = 1;
    }
  }
  return failed;
}
