// SPDX-License-Identifier: MIT
//
// forkbomb [-z] file: fork as fast as possible, in this process and all its descendants, until the
// file exists.  -z: the children exit at once, and no process waits for them.

#include "user/user.h"

int main(int argc, char *argv[]) {
  bool zombies = argc > 1 && strcmp(argv[1], "-z") == 0;
  struct stat st;
  if (argc != 2 + zombies)
    die("usage: forkbomb [-z] file-that-ends-it");
  while (stat(argv[argc - 1], &st) < 0)
    if (fork() == 0 && zombies)
      break;
  return 0;
}
