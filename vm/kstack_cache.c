// SPDX-License-Identifier: MIT
//
// Erasing, and what follows from it: how deep a stack was used.  kstack_cache.h has the caches.
//
// I3. A stack is all zeros when it is handed out, so its lowest nonzero word is the deepest place
//     that its owner used.
// I4. Frames are at most ERASE_GAP bytes and each stores a nonzero ra or fp, so ERASE_GAP zero
//     bytes mean that nothing lower was used (A1).  That is not so where sp may have jumped
//     (kstack_distrust): such a stack is unmapped.
// A1. Later frames do not leave that many zero bytes in a row where earlier ones were: the largest
//     frame has a third of them, and the largest buffer less.
#include "vm/kstack_cache.h"

#include "kern/lib/kasan.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "vm/tlb.h"

#define CACHE_DEFAULT 2
#define ERASE_CHUNK   128
#define ERASE_GAP     FRAME_MAX  // what the compiler allows

struct kstack_cache kstack_caches[HART_MAX];
uint32 kstack_cache_size = CACHE_DEFAULT;

void kstack_cache_init(void) {
  kstack_cache_size = bootarg_number("kstack_cache", CACHE_DEFAULT, 0, KSTACK_CACHE_MAX);
}

KASAN_EXEMPT void kstack_erase(const struct kstack *stack) {
  uint64 *p = (uint64 *)(stack->lo + KSTACK_SIZE), *lo = (uint64 *)kstack_mapped(stack);
  irq_t irq = irq_save();
  tlb_catch_up(stack->generation);
  assert(this_hart()->fence_generation >= stack->generation);
  for (uint64 gap = 0; p > lo && gap < ERASE_GAP;) {
    p -= ERASE_CHUNK / sizeof(uint64);
    gap += ERASE_CHUNK;
    if (!(p[15] | p[14] | p[13] | p[12]) && !(p[11] | p[10] | p[9] | p[8]) &&
        !(p[7] | p[6] | p[5] | p[4]) && !(p[3] | p[2] | p[1] | p[0]))
      continue;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
      p[i] = 0;
    gap = 0;
  }
  irq_restore(irq);
}

KASAN_EXEMPT uint64 kstack_peak(const struct kstack *stack) {
  const volatile uint64 *p = (const uint64 *)stack->lo;
  uint64 unused = kstack_mapped(stack) - stack->lo;
  while (unused < KSTACK_SIZE && p[unused / sizeof(*p)] == 0)
    unused += sizeof(*p);
  return KSTACK_SIZE - unused;
}
