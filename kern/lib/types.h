// SPDX-License-Identifier: MIT
//
// Integer types, and the three kinds of address that never mix: a kernel address is a pointer, a
// user address a uva_t, a physical address a pa_t.  vaddr_t is for code that maps either half.
// The compiler alone says what they are: one for bare metal may come without any stdint.h.
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef __UINT8_TYPE__ uint8;
typedef __UINT16_TYPE__ uint16;
typedef __UINT32_TYPE__ uint32;
typedef __UINT64_TYPE__ uint64;
typedef __INT8_TYPE__ int8;
typedef __INT16_TYPE__ int16;
typedef __INT64_TYPE__ int64;

typedef uint64 uva_t;    // user virtual address, never dereferenced
typedef uint64 pa_t;     // physical address
typedef uint64 vaddr_t;  // virtual address in either half

#define ARRAY_SIZE(a)                 (sizeof(a) / sizeof((a)[0]))
#define ROUND_UP(x, to)               (((x) + (to)-1) & ~((uint64)(to)-1))
#define ROUND_DOWN(x, to)             ((x) & ~((uint64)(to)-1))
#define CONTAINER_OF(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))
