// SPDX-License-Identifier: MIT
//
// Ranges of numbered granules in a bitmap.
//
// Each search begins where the last one ended, so a freed granule rests as long as possible before
// it is used again: a stale pointer finds it unmapped, and not in another's hands.
// I1. free is the number of zero bits below count.
#include "vm/arena.h"

#include "kern/lib/panic.h"

#define WORD_BITS 64

static bool is_taken(const struct arena *a, uint32 i) {
  return a->map[i / WORD_BITS] >> (i % WORD_BITS) & 1;
}

void arena_init(struct arena *a, uint64 *map, uint32 count) {
  *a = (struct arena){.map = map, .count = count, .free = count};
}

// Return the first index of n free granules in [from, to), or -1.
static int64 find_run(const struct arena *a, uint64 from, uint64 to, uint32 n) {
  uint32 run = 0;
  for (uint64 i = from; i < to; i++) {
    if (i % WORD_BITS == 0 && a->map[i / WORD_BITS] == ~0UL) {
      run = 0;
      i += WORD_BITS - 1;
      continue;
    }
    run = is_taken(a, i) ? 0 : run + 1;
    if (run == n)
      return i + 1 - n;
  }
  return -1;
}

int64 arena_take(struct arena *a, uint32 n) {
  if (n == 0 || n > a->free)
    return -1;
  int64 first = find_run(a, a->next, a->count, n);
  uint64 end = (uint64)a->next + n - 1;  // runs that begin before next
  if (first < 0)
    first = find_run(a, 0, end < a->count ? end : a->count, n);
  if (first < 0)
    return -1;
  for (uint32 i = first; i < first + n; i++)
    a->map[i / WORD_BITS] |= 1UL << (i % WORD_BITS);
  a->next = first + n;
  a->free -= n;
  return first;
}

void arena_give(struct arena *a, uint32 first, uint32 n) {
  assert((uint64)first + n <= a->count);
  for (uint32 i = first; i < first + n; i++) {
    assert(is_taken(a, i));
    a->map[i / WORD_BITS] &= ~(1UL << (i % WORD_BITS));
  }
  a->free += n;
}
