// SPDX-License-Identifier: MIT
//
// Numbers out of strings.

#include "user/user.h"

#define LONG_LIMIT ((unsigned long)~0UL >> 1)

static int digit_value(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  int lower = tolower((unsigned char)c);
  return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
}

// Skip the prefix that base allows and return the base to use.
static int take_prefix(const char **s, int base) {
  const char *p = *s;
  bool hex = p[0] == '0' && tolower((unsigned char)p[1]) == 'x' && digit_value(p[2]) < 16;
  if (hex && (base == 0 || base == 16)) {
    *s += 2;
    return 16;
  }
  if (base == 0)
    return *p == '0' ? 8 : 10;
  return base;
}

long strtol(const char *s, char **end, int base) {
  const char *p = s;
  while (*p == ' ' || (*p >= '\t' && *p <= '\r'))
    p++;
  bool negative = *p == '-';
  if (*p == '-' || *p == '+')
    p++;
  base = take_prefix(&p, base);
  unsigned long limit = negative ? LONG_LIMIT + 1 : LONG_LIMIT;
  unsigned long value = 0;
  const char *digits = p;
  for (int d; (d = digit_value(*p)) < base; p++) {
    unsigned long room = (limit - (unsigned long)d) / (unsigned long)base;
    value = value > room ? limit : value * (unsigned long)base + (unsigned long)d;
  }
  if (end)
    *end = (char *)(p == digits ? s : p);
  return (long)(negative ? 0 - value : value);
}

int atoi(const char *s) {
  return (int)strtol(s, NULL, 10);
}
