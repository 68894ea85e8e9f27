// SPDX-License-Identifier: MIT
//
// cat [file...]: copy the files, or what comes in, to standard output.

#include "user/user.h"

static char buf[4096];

static void copy(int fd, const char *name) {
  int n;
  while ((n = read(fd, buf, sizeof(buf))) > 0)
    if (writeall(1, buf, n) < 0)
      die("cat: cannot write");
  if (n < 0)
    die("cat: cannot read %s", name);
}

int main(int argc, char *argv[]) {
  if (argc == 1)
    copy(0, "standard input");
  for (int i = 1; i < argc; i++) {
    int fd = open(argv[i], O_RDONLY);
    if (fd < 0)
      die("cat: cannot open %s", argv[i]);
    copy(fd, argv[i]);
    close(fd);
  }
  return 0;
}
