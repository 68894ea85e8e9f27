// SPDX-License-Identifier: MIT
//
// Ranges of numbered granules: a bitmap that is searched from where the last search ended.  Pure,
// so a test runs it on the host.
#pragma once

#include "kern/lib/types.h"

struct arena {
  uint64 *map;   // one bit a granule, 1: taken
  uint32 count;  // granules
  uint32 next;   // where the next search begins
  uint32 free;   // granules free
};

// Lay out an arena of count granules, all free.  map has (count + 63) / 64 words of
// zeros.
void arena_init(struct arena *a, uint64 *map, uint32 count);

// Take n adjacent granules.  Returns the first one's index, or -1 when there is no such run.
int64 arena_take(struct arena *a, uint32 n);

// Give back n granules from first on, all of them taken.
void arena_give(struct arena *a, uint32 first, uint32 n);
