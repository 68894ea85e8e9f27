// SPDX-License-Identifier: MIT
//
// A few stacks that each hart keeps for its next threads, and what makes a used stack new again.
// For vm/kstack.c.
//
// I1. A cached stack stays mapped, has no owner (kind 0), is paid for by no account, and keeps its
//     last owner's name.
// I2. A place in a cache is swapped atomically, so only one taker gets the stack, from whatever
//     hart or context.
//
// Taking and putting are inline, since each thread does both: a call would add a tenth.
#pragma once

#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "vm/kstack.h"

#define KSTACK_CACHE_MAX 16

struct kstack_cache {
  uint64 reused;                           // [a] stacks handed out again, since boot
  struct kstack *stack[KSTACK_CACHE_MAX];  // [a] null: the place is free
} __attribute__((aligned(256)));           // so that finding one is a shift

extern struct kstack_cache kstack_caches[HART_MAX];
extern uint32 kstack_cache_size;  // [I] after boot

// Read how many stacks a hart's cache holds from the boot argument kstack_cache.  Boot only.
void kstack_cache_init(void);

// Take a stack from a cache.  NULL when it is empty.
static inline struct kstack *kstack_cache_take(struct kstack_cache *c) {
  struct kstack **place = c->stack;
  do {
    struct kstack *stack = load_relaxed(place) ? atomic_swap(place, NULL) : NULL;
    if (stack)
      return stack;
  } while (++place < c->stack + KSTACK_CACHE_MAX);
  return NULL;
}

// Put a stack into this hart's cache.  Returns false when it is full.
static inline bool kstack_cache_put(struct kstack *stack) {
  struct kstack_cache *c = &kstack_caches[hart_index()];
  for (struct kstack **place = c->stack; place < c->stack + kstack_cache_size; place++) {
    struct kstack *free = NULL;
    if (!load_relaxed(place) && compare_swap(place, &free, stack))
      return true;
  }
  return false;
}

// Zero what the last owner used, from the top down.  The part of kstack_alloc that grows with use.
void kstack_erase(const struct kstack *stack);

// Return the most bytes that the stack's owner ever used.  The stack stays mapped meanwhile.
uint64 kstack_peak(const struct kstack *stack);
