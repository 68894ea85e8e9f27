// SPDX-License-Identifier: MIT
//
// sync: return when everything written so far is on the disk.

#include "user/user.h"

int main(void) {
  int err = sync();
  if (err < 0)
    die("sync: the file system has failed, and its last changes are not on the disk (error %d)",
        -err);
  return 0;
}
