// SPDX-License-Identifier: MIT
//
// ln old new: give a file one more name.

#include "user/user.h"

// What stands in the way, as far as the names tell.
static const char *reason(const char *old, const char *new) {
  struct stat st;
  if (stat(old, &st) < 0)
    return "the first is not there";
  if (st.type == T_DIR)
    return "a directory has only one name";
  return stat(new, &st) == 0 ? "the second is there already" : "no such place, or no room";
}

int main(int argc, char *argv[]) {
  if (argc != 3)
    die("usage: ln old new");
  if (link(argv[1], argv[2]) < 0)
    die("ln: cannot give %s the name %s: %s", argv[1], argv[2], reason(argv[1], argv[2]));
  return 0;
}
