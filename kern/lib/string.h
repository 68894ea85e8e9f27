// SPDX-License-Identifier: MIT
//
// Memory and strings of the kernel.  Copies and fills go by words where alignment allows.
#pragma once

#include "kern/lib/types.h"

void *memset(void *dst, int c, size_t n);
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);

// Copy src to dst, at most size - 1 bytes, and terminate it.  size must not be 0.  Inline, since
// names are short.
static inline void string_copy(char *dst, const char *src, size_t size) {
  const char *last = dst + size - 1;
  while (dst < last && *src)
    *dst++ = *src++;
  *dst = 0;
}
