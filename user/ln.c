// SPDX-License-Identifier: MIT
//
// ln old new: give a file one more name.

#include "user/user.h"

int main(int argc, char *argv[]) {
  if (argc != 3)
    die("usage: ln old new");
  if (link(argv[1], argv[2]) < 0)
    die("ln: cannot link %s to %s", argv[2], argv[1]);
  return 0;
}
