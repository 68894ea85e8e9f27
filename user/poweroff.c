// SPDX-License-Identifier: MIT
//
// poweroff [code]: switch the machine off; the code, 0 to 255, becomes QEMU's exit status.

#include "user/user.h"

int main(int argc, char *argv[]) {
  char *end;
  long code = argc > 1 ? strtol(argv[1], &end, 0) : 0;
  if (argc > 2 || (argc > 1 && (*end || end == argv[1])) || code < 0 || code > 255)
    die("usage: poweroff [code], 0 to 255");
  die("poweroff: failed, error %d", -poweroff((int)code));
}
