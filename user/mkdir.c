// SPDX-License-Identifier: MIT
//
// mkdir directory...: make directories.

#include "user/user.h"

int main(int argc, char *argv[]) {
  int failed = 0;
  if (argc < 2)
    die("usage: mkdir directory...");
  for (int i = 1; i < argc; i++)
    if (mkdir(argv[i]) < 0) {
      struct stat st;
      fprintf(2, "mkdir: cannot make %s: %s\n", argv[i],
              stat(argv[i], &st) == 0 ? "it is there already" : "no such place, or no room");
      failed = 1;
    }
  return failed;
}
