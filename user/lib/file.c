// SPDX-License-Identifier: MIT
//
// Files: lines, whole writes, status by name.

#include "user/user.h"

int readline(int fd, char *buf, int max) {
  int n = 0;
  while (n < max - 1) {
    int got = read(fd, buf + n, 1);  // one at a time: what follows the line is for others
    if (got < 0)
      return -1;
    if (got == 0 || buf[n++] == '\n')
      break;
  }
  buf[n] = 0;
  return n;
}

char *gets(char *buf, int max) {
  if (readline(0, buf, max) < 0)
    buf[0] = 0;
  return buf;
}

int writeall(int fd, const void *buf, int n) {
  const char *p = buf;
  for (int left = n; left > 0;) {
    int done = write(fd, p, left);
    if (done <= 0)
      return -1;
    p += done;
    left -= done;
  }
  return n;
}

int stat(const char *path, struct stat *st) {
  int fd = open(path, O_RDONLY);
  if (fd < 0)
    return -1;
  int result = fstat(fd, st);
  close(fd);
  return result;
}

_Noreturn void die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vfprintf(2, format, args);
  va_end(args);
  fprintf(2, "\n");
  exit(1);
}
