// SPDX-License-Identifier: MIT
//
// zombie: leave a child that has ended, which this process never waits for; init has to.

#include "user/user.h"

int main(void) {
  if (fork() > 0)
    sleep(5);  // the child ends first
  return 0;
}
