// SPDX-License-Identifier: MIT
//
// Memory and strings.
//
// A1. The compiler never turns a loop here into a call of the function that the loop is in: the
//     build forbids that (-fno-tree-loop-distribute-patterns for the whole kernel).
#include "kern/lib/string.h"

#include "kern/lib/kasan.h"

// Loops over TURN bytes at a time are unrolled.
enum { WORD = sizeof(uint64), WORDS = 8, TURN = WORDS * WORD };

void *memset(void *dst, int c, size_t n) {
  KASAN_WRITES(dst, n);
  uint8 *d = dst;
  for (; n && (uint64)d % WORD; n--)
    *d++ = (uint8)c;
  uint64 *w = (uint64 *)(void *)d;
  uint64 word = (uint8)c * 0x0101010101010101UL;
  for (; n >= TURN; n -= TURN, w += WORDS)
#pragma GCC unroll 8
    for (int i = 0; i < WORDS; i++)
      w[i] = word;
  for (; n >= WORD; n -= WORD)
    *w++ = word;
  for (d = (uint8 *)w; n; n--)
    *d++ = (uint8)c;
  return dst;
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n) {
  KASAN_READS(src, n);
  KASAN_WRITES(dst, n);
  uint8 *d = dst;
  const uint8 *s = src;
  if (((uint64)d | (uint64)s) % WORD == 0) {
    uint64 *dw = dst;
    const uint64 *sw = src;
    for (; n >= TURN; n -= TURN, dw += WORDS, sw += WORDS) {
      uint64 w[WORDS];  // so that no store waits for the load before it
#pragma GCC unroll 8
      for (int i = 0; i < WORDS; i++)
        w[i] = sw[i];
#pragma GCC unroll 8
      for (int i = 0; i < WORDS; i++)
        dw[i] = w[i];
    }
    for (; n >= WORD; n -= WORD)
      *dw++ = *sw++;
    d = (uint8 *)dw;
    s = (const uint8 *)sw;
  }
  while (n--)
    *d++ = *s++;
  return dst;
}

int memcmp(const void *a, const void *b, size_t n) {
  KASAN_READS(a, n);
  KASAN_READS(b, n);
  const uint8 *p = a, *q = b;
  for (; n; n--, p++, q++)
    if (*p != *q)
      return *p - *q;
  return 0;
}

size_t strlen(const char *s) {
  return strnlen(s, ~(size_t)0);
}

size_t strnlen(const char *s, size_t max) {
  size_t n = 0;
  while (n < max && s[n])
    n++;
  KASAN_READS(s, n < max ? n + 1 : n);
  return n;
}

int strncmp(const char *a, const char *b, size_t n) {
  size_t i = 0;
  while (i < n && a[i] == b[i] && a[i])
    i++;
  KASAN_READS(a, i < n ? i + 1 : n);
  KASAN_READS(b, i < n ? i + 1 : n);
  return i < n ? (uint8)a[i] - (uint8)b[i] : 0;
}

char *strchr(const char *s, int c) {
  const char *at = s;
  while (*at != (char)c && *at)
    at++;
  KASAN_READS(s, (size_t)(at - s) + 1);
  return *at == (char)c ? (char *)(uint64)at : NULL;
}
