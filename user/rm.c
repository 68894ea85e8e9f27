// SPDX-License-Identifier: MIT
//
// rm file...: remove names; a directory must be empty.

#include "user/user.h"

int main(int argc, char *argv[]) {
  int failed = 0;
  if (argc < 2)
    die("usage: rm file...");
  for (int i = 1; i < argc; i++)
    if (unlink(argv[i]) < 0) {
      struct stat st;
      fprintf(2, "rm: cannot remove %s: %s\n", argv[i],
              stat(argv[i], &st) < 0 ? "it is not there"
              : st.type == T_DIR     ? "a directory must be empty"
                                     : "the disk cannot be written");
      failed = 1;
    }
  return failed;
}
