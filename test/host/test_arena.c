// SPDX-License-Identifier: MIT
//
// vm/arena.c against a model: one byte a granule.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kern/lib/panic.h"
#include "test/host/check.h"
#include "vm/arena.h"

static jmp_buf on_panic;

_Noreturn void panic(const char *fmt, ...) {
  (void)fmt;
  longjmp(on_panic, 1);
}

static struct arena a;

// Return an arena of count granules on the heap, sized exactly, so that a stray access is seen.
static uint64 *fresh(uint32 count) {
  uint64 *map = calloc((count + 63) / 64, sizeof(*map));
  arena_init(&a, map, count);
  return map;
}

static void test_fill_and_wrap(uint32 count) {
  uint64 *map = fresh(count);
  CHECK(arena_take(&a, 0) == -1 && arena_take(&a, count + 1) == -1);
  for (uint32 i = 0; i < count; i++)
    CHECK(arena_take(&a, 1) == i);
  CHECK(a.free == 0 && arena_take(&a, 1) == -1);
  arena_give(&a, count / 2, 1);
  CHECK(arena_take(&a, 1) == count / 2);
  arena_give(&a, 0, count);
  CHECK(a.free == count);
  CHECK(arena_take(&a, count) == 0);
  free(map);
}

// A freed granule rests until the search has gone round.
static void test_next_fit(void) {
  uint64 *map = fresh(130);
  CHECK(arena_take(&a, 1) == 0);
  arena_give(&a, 0, 1);
  for (int i = 1; i < 130; i++)
    CHECK(arena_take(&a, 1) == i);
  CHECK(arena_take(&a, 1) == 0);
  free(map);
}

// A run may begin before the place where the last search ended and reach past it.
static void test_run_across_next(void) {
  uint64 *map = fresh(128);
  CHECK(arena_take(&a, 100) == 0);
  arena_give(&a, 90, 10);
  CHECK(arena_take(&a, 38) == 90);
  CHECK(arena_take(&a, 1) == -1);
  arena_give(&a, 0, 128);
  CHECK(arena_take(&a, 70) == 0 && arena_take(&a, 58) == 70);
  arena_give(&a, 10, 2);
  arena_give(&a, 20, 5);
  CHECK(arena_take(&a, 3) == 20);
  CHECK(arena_take(&a, 3) == -1);
  free(map);
}

// A full word, which the search skips whole, ends a run.
static void test_run_ends_at_full_word(void) {
  uint64 *map = fresh(192);
  CHECK(arena_take(&a, 192) == 0);
  arena_give(&a, 60, 4);
  arena_give(&a, 128, 10);
  CHECK(arena_take(&a, 8) == 128);
  CHECK(arena_take(&a, 6) == -1);
  free(map);
}

static void test_misuse_panics(void) {
  uint64 *map = fresh(70);
  CHECK(arena_take(&a, 5) == 0);
  if (setjmp(on_panic) == 0) {
    arena_give(&a, 4, 2);
    CHECK(!"giving back a free granule must panic");
  }
  if (setjmp(on_panic) == 0) {
    arena_give(&a, 69, 2);
    CHECK(!"giving back past the end must panic");
  }
  free(map);
}

// Return whether the model has a run of n free granules.
static int has_run(const char *model, uint32 count, uint32 n) {
  for (uint32 i = 0, run = 0; i < count; i++) {
    run = model[i] ? 0 : run + 1;
    if (run == n)
      return 1;
  }
  return 0;
}

static void test_random(uint32 count, unsigned seed) {
  uint64 *map = fresh(count);
  char *model = calloc(count, 1);
  uint32 *length = calloc(count, sizeof(*length));
  uint32 taken = 0;
  srand(seed);
  for (int step = 0; step < 20000; step++) {
    uint32 at = rand() % count, n = 1 + rand() % 7;
    if (rand() % 2 && length[at]) {
      arena_give(&a, at, length[at]);
      memset(model + at, 0, length[at]);
      taken -= length[at];
      length[at] = 0;
      continue;
    }
    int64 first = arena_take(&a, n);
    CHECK((first >= 0) == has_run(model, count, n));
    if (first < 0)
      continue;
    CHECK((uint64)first + n <= count && !memchr(model + first, 1, n));
    memset(model + first, 1, n);
    length[first] = n;
    taken += n;
    CHECK(a.free == count - taken);
  }
  free(length);
  free(model);
  free(map);
}

int main(void) {
  uint32 counts[] = {1, 2, 63, 64, 65, 127, 128, 129, 200};
  for (uint32 i = 0; i < ARRAY_SIZE(counts); i++) {
    test_fill_and_wrap(counts[i]);
    test_random(counts[i], i);
  }
  test_next_fit();
  test_run_across_next();
  test_run_ends_at_full_word();
  test_misuse_panics();
  return 0;
}
