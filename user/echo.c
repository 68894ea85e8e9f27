// SPDX-License-Identifier: MIT
//
// echo [word...]: print the words.

#include "user/user.h"

int main(int argc, char *argv[]) {
  for (int i = 1; i < argc; i++)
    if (printf("%s%s", argv[i], i + 1 < argc ? " " : "") < 0)
      return 1;
  printf("\n");
  return 0;
}
