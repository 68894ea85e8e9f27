// SPDX-License-Identifier: MIT
//
// zombie: leave a child that has exited; init waits for it, since this process does not.

#include "user/user.h"

int main(void) {
  if (fork() > 0)
    sleep(5);  // the child ends first
  return 0;
}
