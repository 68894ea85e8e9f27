// SPDX-License-Identifier: MIT
//
// Strings and memory.  Copies and fills go by words where both ends are aligned.

#include "user/user.h"

#define WORD sizeof(uint64)

// A word that may alias anything.
typedef uint64 __attribute__((may_alias)) word_t;

static bool word_aligned(const void *a, const void *b) {
  return (((uint64)a | (uint64)b) & (WORD - 1)) == 0;
}

void *memset(void *dst, int c, size_t n) {
  char *d = dst;
  if (word_aligned(d, d)) {
    uint64 pattern = (unsigned char)c * 0x0101010101010101UL;
    for (; n >= WORD; n -= WORD, d += WORD)
      *(word_t *)d = pattern;
  }
  while (n-- > 0)
    *d++ = (char)c;
  return dst;
}

void *memcpy(void *dst, const void *src, size_t n) {
  return memmove(dst, src, n);
}

static void copy_up(char *d, const char *s, size_t n) {
  if (word_aligned(d, s))
    for (; n >= WORD; n -= WORD, d += WORD, s += WORD)
      *(word_t *)d = *(const word_t *)s;
  while (n-- > 0)
    *d++ = *s++;
}

void *memmove(void *dst, const void *src, size_t n) {
  char *d = dst;
  const char *s = src;
  if (d <= s || d >= s + n)
    copy_up(d, s, n);
  else
    while (n-- > 0)
      d[n] = s[n];
  return dst;
}

int memcmp(const void *a, const void *b, size_t n) {
  const unsigned char *p = a, *q = b;
  for (; n > 0; n--, p++, q++)
    if (*p != *q)
      return *p - *q;
  return 0;
}

char *strcpy(char *dst, const char *src) {
  for (char *d = dst; (*d = *src) != 0; d++)
    src++;
  return dst;
}

size_t strlcpy(char *dst, const char *src, size_t size) {
  size_t n = strlen(src);
  if (size > 0) {
    size_t copied = n < size ? n : size - 1;
    memmove(dst, src, copied);
    dst[copied] = 0;
  }
  return n;
}

int strcmp(const char *a, const char *b) {
  while (*a && *a == *b)
    a++, b++;
  return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n) {
  while (n > 0 && *a && *a == *b)
    a++, b++, n--;
  return n == 0 ? 0 : (unsigned char)*a - (unsigned char)*b;
}

size_t strlen(const char *s) {
  const char *end = s;
  while (*end)
    end++;
  return (size_t)(end - s);
}

char *strchr(const char *s, int c) {
  for (;; s++) {
    if (*s == (char)c)
      return (char *)s;
    if (*s == 0)
      return NULL;
  }
}

char *strrchr(const char *s, int c) {
  char *found = NULL;
  for (;; s++) {
    if (*s == (char)c)
      found = (char *)s;
    if (*s == 0)
      return found;
  }
}

char *strstr(const char *s, const char *word) {
  size_t n = strlen(word);
  for (; strncmp(s, word, n) != 0; s++)
    if (*s == 0)
      return NULL;
  return (char *)s;
}

int tolower(int c) {
  return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}
