// SPDX-License-Identifier: MIT
//
// Memory and strings.
//
// A1. The compiler may turn a loop here into a call of the very function it stands in; the build
//     forbids that (-fno-tree-loop-distribute-patterns for the whole kernel).
#include "kern/lib/string.h"

enum { WORD = sizeof(uint64), TURN = 8 * WORD };

static inline bool aligned(const void *a, const void *b) {
  return (((uint64)a | (uint64)b) & (WORD - 1)) == 0;
}

// Fill whole turns of eight words; returns what is left over, in bytes.
static size_t fill_turns(uint64 **to, uint64 word, size_t n) {
  uint64 *d = *to;
  for (; n >= TURN; n -= TURN, d += 8) {
    d[0] = word;
    d[1] = word;
    d[2] = word;
    d[3] = word;
    d[4] = word;
    d[5] = word;
    d[6] = word;
    d[7] = word;
  }
  *to = d;
  return n;
}

void *memset(void *dst, int c, size_t n) {
  uint8 *d = dst;
  for (; n && (uint64)d % WORD; n--)
    *d++ = (uint8)c;
  uint64 *w = (uint64 *)(void *)d;
  uint64 word = (uint8)c * 0x0101010101010101UL;
  n = fill_turns(&w, word, n);
  for (; n >= WORD; n -= WORD)
    *w++ = word;
  for (d = (uint8 *)w; n; n--)
    *d++ = (uint8)c;
  return dst;
}

static size_t copy_turns(uint64 **to, const uint64 **from, size_t n) {
  uint64 *d = *to;
  const uint64 *s = *from;
  for (; n >= TURN; n -= TURN, d += 8, s += 8) {
    uint64 a = s[0], b = s[1], e = s[2], f = s[3];
    d[0] = a;
    d[1] = b;
    d[2] = e;
    d[3] = f;
    a = s[4], b = s[5], e = s[6], f = s[7];
    d[4] = a;
    d[5] = b;
    d[6] = e;
    d[7] = f;
  }
  *to = d;
  *from = s;
  return n;
}

// Ascending copy: right whenever dst is below src or they do not overlap.
static void copy_up(void *dst, const void *src, size_t n) {
  uint8 *d = dst;
  const uint8 *s = src;
  if (aligned(d, s)) {
    uint64 *dw = dst;
    const uint64 *sw = src;
    n = copy_turns(&dw, &sw, n);
    for (; n >= WORD; n -= WORD)
      *dw++ = *sw++;
    d = (uint8 *)dw;
    s = (const uint8 *)sw;
  }
  while (n--)
    *d++ = *s++;
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n) {
  copy_up(dst, src, n);
  return dst;
}

void *memmove(void *dst, const void *src, size_t n) {
  if ((uint64)dst - (uint64)src >= n) {
    copy_up(dst, src, n);
    return dst;
  }
  uint8 *d = (uint8 *)dst + n;
  const uint8 *s = (const uint8 *)src + n;
  while (n--)
    *--d = *--s;
  return dst;
}

int memcmp(const void *a, const void *b, size_t n) {
  const uint8 *p = a, *q = b;
  for (; n; n--, p++, q++)
    if (*p != *q)
      return *p - *q;
  return 0;
}

size_t strlen(const char *s) {
  const char *end = s;
  while (*end)
    end++;
  return (size_t)(end - s);
}

size_t strnlen(const char *s, size_t max) {
  size_t n = 0;
  while (n < max && s[n])
    n++;
  return n;
}

int strcmp(const char *a, const char *b) {
  while (*a && *a == *b)
    a++, b++;
  return (uint8)*a - (uint8)*b;
}

int strncmp(const char *a, const char *b, size_t n) {
  for (; n; n--, a++, b++)
    if (*a != *b || !*a)
      return (uint8)*a - (uint8)*b;
  return 0;
}

char *strchr(const char *s, int c) {
  for (; *s != (char)c; s++)
    if (!*s)
      return NULL;
  return (char *)(uint64)s;
}

bool string_copy(char *dst, const char *src, size_t size) {
  size_t n = strnlen(src, size - 1);
  memcpy(dst, src, n);
  dst[n] = 0;
  return src[n] == 0;
}
