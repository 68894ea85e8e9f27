// SPDX-License-Identifier: MIT
//
// forktest: fork until it fails, wait for all children, and find that none is left.

#include "user/user.h"

#define MANY 1000

int main(void) {
  int n = 0;
  printf("fork test\n");
  for (; n < MANY; n++) {
    int pid = fork();
    if (pid < 0)
      break;
    if (pid == 0)
      return 0;
  }
  if (n == MANY)
    die("forktest: %d children, and fork still works", MANY);
  printf("%d children\n", n);
  while (n-- > 0)
    if (wait(NULL) < 0)
      die("forktest: wait stopped early");
  if (wait(NULL) != -1)
    die("forktest: wait got too many");
  printf("fork test OK\n");
  return 0;
}
