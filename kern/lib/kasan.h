// SPDX-License-Identifier: MIT
//
// What code that the compiler does not check tells the checker (KASAN=y; docs/kasan.md).  Without
// it all of this is nothing.
#pragma once

#include "kern/lib/types.h"

#if KASAN

// For a function that looks at memory that others own, or at devices, which have no shadow.
#define KASAN_EXEMPT __attribute__((no_sanitize_address))

// Report the access that pc is about to make, unless all of [p, p + size) may be accessed.
// Any context.  Implemented by: vm/kasan_shadow.c.
void kasan_check_range(const void *p, uint64 size, bool write, const void *pc);

#else

#define KASAN_EXEMPT
static inline void kasan_check_range(const void *p, uint64 size, bool write, const void *pc) {
  (void)p, (void)size, (void)write, (void)pc;
}

#endif

// The same check, reported at the caller of the function that this stands in.
#define KASAN_READS(p, size)  kasan_check_range(p, size, false, __builtin_return_address(0))
#define KASAN_WRITES(p, size) kasan_check_range(p, size, true, __builtin_return_address(0))
