// SPDX-License-Identifier: MIT
//
// Memory: first fit over one list of free blocks.
//
// I1. The list is in order of address; no two blocks on it touch.
// I2. A block's size counts its header; sizes are multiples of 16.

#include "user/user.h"
#include "vm/layout.h"

#define ALIGN     16UL
#define GROW_STEP 16384UL
#define MOST      0x7fff0000UL  // sbrk takes an int

struct block {
  size_t size;
  struct block *next;
};

_Static_assert(sizeof(struct block) == ALIGN, "what follows a header must stay aligned");

static struct block *free_list;

static struct block *block_end(struct block *b) {
  return (struct block *)((char *)b + b->size);
}

// Join b with the block behind it if they touch.
static void join(struct block *b) {
  if (b->next && block_end(b) == b->next) {
    b->size += b->next->size;
    b->next = b->next->next;
  }
}

static void insert(struct block *b) {
  struct block *before = NULL, *after = free_list;
  while (after && after < b) {
    before = after;
    after = after->next;
  }
  b->next = after;
  join(b);
  if (!before) {
    free_list = b;
    return;
  }
  before->next = b;
  join(before);
}

static bool grow(size_t size) {
  size_t bytes = ROUND_UP(size + ALIGN, GROW_STEP);
  char *start = sbrk((int)bytes);
  if (start == (char *)-1)
    return false;
  struct block *b = (struct block *)ROUND_UP((uint64)start, ALIGN);
  b->size = ROUND_DOWN(bytes - (size_t)((char *)b - start), ALIGN);
  insert(b);
  return true;
}

// Take size bytes off the first block that has them; the rest stays on the list.
static struct block *take(size_t size) {
  for (struct block **link = &free_list; *link; link = &(*link)->next) {
    struct block *b = *link;
    if (b->size < size)
      continue;
    if (b->size - size < 2 * ALIGN) {
      *link = b->next;
      return b;
    }
    b->size -= size;
    struct block *taken = block_end(b);
    taken->size = size;
    return taken;
  }
  return NULL;
}

void *malloc(size_t n) {
  if (n > MOST - GROW_STEP)
    return NULL;
  size_t size = ROUND_UP(n, ALIGN) + sizeof(struct block);
  struct block *b = take(size);
  if (!b && grow(size))
    b = take(size);
  return b ? b + 1 : NULL;
}

void free(void *p) {
  if (p)
    insert((struct block *)p - 1);
}

void *calloc(size_t count, size_t size) {
  size_t n;
  if (__builtin_mul_overflow(count, size, &n))
    return NULL;
  void *p = malloc(n);
  return p ? memset(p, 0, n) : NULL;
}

void *realloc(void *p, size_t n) {
  if (!p)
    return malloc(n);
  size_t had = ((struct block *)p - 1)->size - sizeof(struct block);
  if (n <= had)
    return p;
  void *q = malloc(n);
  if (q) {
    memcpy(q, p, had);
    free(p);
  }
  return q;
}

uint64 sbrk_all(void) {
  uint64 taken = 0;
  for (int step = 1 << 30; step >= PAGE_SIZE; step /= 2)
    while (sbrk(step) != (char *)-1)
      taken += (uint64)step;
  return taken;
}

long free_pages(void) {
  long taken = (long)sbrk_all();
  sbrk((int)-taken);
  return taken / PAGE_SIZE;
}

__attribute__((noinline)) long pages_lost(long before, long after) {
  return before - after;
}
