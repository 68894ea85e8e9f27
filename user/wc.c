// SPDX-License-Identifier: MIT
//
// wc [file...]: lines, words, bytes, name.

#include "user/user.h"

static char buf[4096];

static void count(int fd, const char *name) {
  uint64 lines = 0, words = 0, bytes = 0;
  bool in_word = false;
  int n;
  while ((n = read(fd, buf, sizeof(buf))) > 0) {
    bytes += (uint64)n;
    for (int i = 0; i < n; i++) {
      bool blank = buf[i] == ' ' || (buf[i] >= '\t' && buf[i] <= '\r');
      lines += buf[i] == '\n';
      words += !blank && !in_word;
      in_word = !blank;
    }
  }
  if (n < 0)
    die("wc: cannot read %s", name);
  printf("%lu %lu %lu %s\n", lines, words, bytes, name);
}

int main(int argc, char *argv[]) {
  if (argc == 1)
    count(0, "");
  for (int i = 1; i < argc; i++) {
    int fd = open(argv[i], O_RDONLY);
    if (fd < 0)
      die("wc: cannot open %s", argv[i]);
    count(fd, argv[i]);
    close(fd);
  }
  return 0;
}
