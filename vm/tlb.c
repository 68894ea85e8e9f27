// SPDX-License-Identifier: MIT
//
// Fences.  One generation number counts changes of the kernel half.  Each hart remembers up to
// which number it has fenced.
//
// I3. A mapper stores its entries, then raises the generation (release), then fences.
// I4. A hart reads the generation (acquire) before it fences, and claims no more than it read: an
//     entry stored between the read and the fence may or may not be seen, and is not claimed.
// I5. An unmapper stores, then looks which harts are online; a hart says it is online, then fences
//     (both with a full fence between), so one of the two covers every entry.
#include "vm/tlb.h"

#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/sbi.h"

static uint64 generation;    // [a]
static uint64 harts_fenced;  // [a] times, all of them

// Fence this hart, which the caller got from this_hart() and so with interrupts off.
static void fence_self(struct hart *h) {
  uint64 seen = load_acquire(&generation);
  tlb_fence_all();
  h->fence_generation = seen;
}

uint64 tlb_mapped(void) {
  uint64 mine = fetch_add(&generation, 1) + 1;
  irq_t irq = irq_save();
  fence_self(this_hart());
  irq_restore(irq);
  return mine;
}

void tlb_catch_up(uint64 wanted) {
  struct hart *h = this_hart();
  if (h->fence_generation < wanted)
    fence_self(h);
}

bool tlb_refresh(void) {
  struct hart *h = this_hart();
  if (h->fence_generation == load_acquire(&generation))
    return false;
  fence_self(h);
  return true;
}

void tlb_hart_online(void) {
  struct hart *h = this_hart();
  store_release(&h->online, true);
  fence_all();
  fence_self(h);
}

void tlb_fence_harts(void) {
  irq_t irq = irq_save();
  struct hart *self = this_hart();
  fetch_add(&harts_fenced, 1);
  fence_all();
  fence_self(self);
  for (uint32 i = 0; i < hart_count; i++)
    if (&harts[i] != self && load_acquire(&harts[i].online))
      sbi_remote_sfence(harts[i].id);
  irq_restore(irq);
}

uint64 tlb_fence_count(void) {
  return load_relaxed(&harts_fenced);
}
