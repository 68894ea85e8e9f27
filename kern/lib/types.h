// SPDX-License-Identifier: MIT
//
// Integer types, and the three kinds of address that never mix: a kernel address is a pointer, a
// user address a uva_t, a physical address a pa_t.  vaddr_t is for code that maps either half.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t uint8;
typedef uint16_t uint16;
typedef uint32_t uint32;
typedef uint64_t uint64;
typedef int64_t int64;

typedef uint64 uva_t;    // user virtual address, never dereferenced
typedef uint64 pa_t;     // physical address
typedef uint64 vaddr_t;  // virtual address in either half

#define ARRAY_SIZE(a)                 (sizeof(a) / sizeof((a)[0]))
#define ROUND_UP(x, to)               (((x) + (to)-1) & ~((uint64)(to)-1))
#define ROUND_DOWN(x, to)             ((x) & ~((uint64)(to)-1))
#define CONTAINER_OF(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))
