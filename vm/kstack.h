// SPDX-License-Identifier: MIT
//
// Kernel stacks.
//
// A slot is KSTACK_SLOT of the window, aligned to itself: guard below, stack above.
// I1. Every address of the window says by shift and mask which slot it is in, and which half.
// I2. A stack is never freed by the thread that runs on it; the next thread does it.
// I3. A frame leaves a slot only after every hart has fenced (vm/tlb.h).
#pragma once

#include "kern/lib/abi.h"
#include "kern/lib/limits.h"
#include "kern/lib/types.h"
#include "vm/account.h"
#include "vm/kasan_shadow.h"
#include "vm/layout.h"
#include "vm/vmalloc.h"

struct hart;

#define KSTACK_PAGES (KSTACK_SIZE / PAGE_SIZE)

// With KSTACK_GROW=y a thread's stack begins with its uppermost page and gets the others when it
// needs them (docs/growing-stacks.md).
#define KSTACK_BORN (KSTACK_GROW ? 1 : KSTACK_PAGES)

// The stack of a slot, and who has it.
// [I] while owned  [o] only its owner, or the thread that takes or frees it  [a] atomic
// [k] set by the owner without a lock, cleared under the window's lock
struct kstack {
  vaddr_t lo;                       // [I] the lowest byte it may have, of KSTACK_SIZE
  uint64 generation;                // [o] in which it was mapped or enlarged last (vm/tlb.h)
  const uint64 *thread_sp;          // [k] to the field sp of the owner's thread, or null
  struct hart *const *thread_hart;  // [k] to the field hart of that thread, or null
  uint32 kind;                      // [k] enum stack_kind; 0: no owner
  bool distrusted;                  // [o] anything may stand on it: do not cache it
  uint8 charged;                    // [o] KSTACK_GROW: pages that the account pays for
  struct account *account;          // [o] that pays for it; null after kstack_disown
  int account_id;                   // [a] its number; 0: none
  int pid;                          // [a] owner or last owner; 0: the kernel; -1: never owned
  char name[NAME_SIZE];             // [a] of the owner or last owner
  KASAN_NOTE                        // [o]
};

extern struct vmalloc_arena kstack_window;  // a granule is a slot

// Return the lowest byte of the stack that is mapped.  A hart sees it after a fence for the
// generation, read later; else a fault has it fence.
static inline vaddr_t kstack_mapped(const struct kstack *stack) {
  if (!KSTACK_GROW)
    return stack->lo;
  return load_acquire(&kstack_window.areas[(stack->lo - KSTACK_BASE) >> KSTACK_SLOT_SHIFT].base);
}

// What the window says about an address.
struct kstack_slot {
  bool in_window;   // the rest is meaningful only if so
  bool in_guard;    // in the guard half, else in the stack half
  bool live;        // the slot has an owner now
  bool below_live;  // and so has the slot below
  uint64 lo, hi;    // bounds of the slot's stack
  int pid;          // owner, or last owner; -1: never owned
  char name[NAME_SIZE];
};

// Lay out the window, with a slot for each stack that RAM could hold.  Boot only, before any user
// page table exists and before page_init.
void kstack_init(void);

// Allocate a stack for the thread of that pid and name (copied), and charge the account for it.
// Returns NULL on no memory or at the account's limit.  Does not sleep; any context.
// The one path by which every thread gets its stack.
struct kstack *kstack_alloc(int pid, const char *name, enum stack_kind kind,
                            struct account *account);

// Give a stack back, and stop charging for it.  Not the running one.  Any context, interrupts on or
// off.
void kstack_free(struct kstack *stack);

// Stop charging the owner for its stack while it still runs on it.  Interrupts stay off until the
// next switch, so at most one such stack exists per hart.  Holds: interrupts off.
void kstack_disown(struct kstack *stack);

// Move the running thread's stack to a new account, of limit pages, within the one that pays for
// it.  Returns the account's id, or an error as account_create does.
int kstack_limit(struct kstack *stack, uint64 limit);

// Mark the stack as untrusted after a fault: kstack_free unmaps it and does not cache it.  Takes no
// lock.
void kstack_distrust(struct kstack *stack);

// Fill up this hart's spare pages, if there is memory.  Every interrupt does, and fork.
// Holds: interrupts off, no spin lock.
void kstack_refill(void);

// Return whether this hart has the pages for kstack_extend, which does it once only.
bool kstack_can_extend(const struct kstack *stack, vaddr_t to);

// Enlarge a stack of this hart that has run out, down to that page: the rest of it is mapped, and
// below lo, in the upper part of the guard, the reserve.  The pages are this hart's spare ones.
// They are freed with the stack.  Allocates nothing and takes no lock.  Holds: interrupts off,
// kstack_can_extend.
void kstack_extend(struct kstack *stack, vaddr_t to);

// Do that within the stack if keep spare pages remain, and charge its account.  Returns null, or
// what it lacks: a word for the machine line.  Holds: interrupts off.
const char *kstack_grow(struct kstack *stack, vaddr_t to, uint32 keep);

// Make the reserve a guard again.  Holds: interrupts off.
void kstack_close_reserve(const struct kstack *stack);

// Tell kstack_info where the owner's thread keeps its saved sp, and the hart it is or was on.
// kstack_info reads both until kstack_free, so the thread's struct is freed after its stack.
void kstack_set_thread(struct kstack *stack, const uint64 *sp, struct hart *const *hart);

// Change the name shown for the owner.
void kstack_rename(struct kstack *stack, const char *name);

// Return the stack of the slot that va is in, with or without an owner, or NULL.  Takes no lock.
struct kstack *kstack_at(vaddr_t va);

// Describe the slot of va.  Takes no lock and reads no user memory: for the fault path.
struct kstack_slot kstack_describe(vaddr_t va);

// Count the stacks: sets stacks, cached, lazy, mapped, reused, unmapped and grown of info.  A stack
// that changes meanwhile may be counted or not.
void kstack_count(struct memory_info *info);

// Return the number of slots.
uint64 kstack_slots(void);

// Fill info for slot i, below kstack_slots().  Returns false when it has no owner.
bool kstack_info(uint64 i, struct stack_info *info);

// Unmap every cached stack of every hart.
void kstack_drain(void);
