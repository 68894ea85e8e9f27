// SPDX-License-Identifier: MIT
//
// Kernel stacks without guards.  Such a stack has a slot in which nothing is mapped, so that what
// lists, caches, counts and frees stacks serves it as well.
#include "vm/unguarded.h"

#include "kern/lib/string.h"
#include "vm/page.h"

#define BLOCK_ORDER 2

_Static_assert(PAGE_SIZE << BLOCK_ORDER == KSTACK_SIZE, "a block is one stack");

bool unguarded_take(struct kstack *stack) {
  void *block = page_alloc_order(BLOCK_ORDER);
  if (!block)
    return false;
  memset(block, 0, KSTACK_SIZE);
  stack->lo = (vaddr_t)block;
  return true;
}

void unguarded_give(const struct kstack *stack) {
  if (stack->lo < KSTACK_BASE)
    page_put((void *)stack->lo);
}
