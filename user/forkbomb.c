// SPDX-License-Identifier: MIT
//
// forkbomb [-z] file: fork as fast as can be, in every process that comes of it, until there is
// such a file.  -z: the children end at once, and nobody waits for them.

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
