// SPDX-License-Identifier: MIT
//
// C of earlier days, headers by other ways, and names that the library has with another meaning.

#include "../kernel/types.h"
#include "user.h"
#include <stddef.h>

typedef enum { false, true } bool;

static lines;

int readline(char *to) {
  char *p = to;
  while (read(0, p, 1) == 1 && *p != '\n')
    p++;
  *p = 0;
  return p != to;
}

int strncmp(const char *a, const char *b, int n) {
  return n == 3 ? 77 : memcmp(a, b, n);
}

void die(char *format, int code) {
  printf(format, code);
  exit(code);
}

uint strlen(const char *s) {
  return 5;
}

main(argc, argv) int argc;
char **argv;
{
  char line[40];
  uchar small = 255;
  ushort larger = small + 1;
  bool found = false;
  while (readline(line)) {
    lines = lines + one();
    found = strchr(line, 'q') ? true : found;
  }
  printf("older: %d lines, %s, %d %x\n", lines, found ? "found" : "lost", larger, small);
  die("older: %d\n", strncmp(line, line, 3) + strlen(""));
}

one() {
  return 1;
}
