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
#include "kern/lib/types.h"
#include "vm/account.h"
#include "vm/layout.h"
#include "vm/vmalloc.h"

struct hart;

// What the window says of an address.
struct kstack_slot {
  bool in_window;   // the rest is meaningful only if so
  bool in_guard;    // in the guard half, else in the stack half
  bool live;        // the slot has an owner now
  bool below_live;  // and so has the slot below
  uint64 lo, hi;    // bounds of the slot's stack
  int pid;          // owner, or last owner; -1: never owned
  char name[NAME_SIZE];
};

#define KSTACK_PAGES (KSTACK_SIZE / PAGE_SIZE)

// Read how many stacks a hart's cache holds from the boot argument kstack_cache.  Boot only.
void kstack_init(void);

// Allocate a stack for the thread of that pid and name (copied), at the cost of the account.  NULL
// on no memory or at the account's limit.
// Does not sleep.  The one path by which every thread gets its stack.
struct vm_area *kstack_alloc(int pid, const char *name, enum stack_kind kind,
                             struct account *account);

// Give a stack back.  Not the running one.  Any context, interrupts on or off.
void kstack_free(struct vm_area *area);

// Zero what the last owner used, from the top down.  The part of kstack_alloc that grows with use.
void kstack_erase(const struct vm_area *area);

// The owner gives its stack up and no longer pays for it.  With interrupts off until another thread
// runs, so that a hart has one such stack at most.  Before kstack_free, which otherwise does it.
void kstack_disown(struct vm_area *area);

// Move the stack to a new account, of that many pages, within the one that pays for it.  The
// running thread's own.  Returns the account's id, or as account_create.
int kstack_limit(struct vm_area *area, uint64 limit);

// Note that anything may stand on the stack, after a fault, so that it is not used again as it is.
// Takes no lock.
void kstack_stain(struct vm_area *area);

// Tell kstack_info where the owner's saved sp stands, and the hart it is or was on.  Both are read
// until kstack_free, so the owner's struct is freed after its stack.
void kstack_watch(struct vm_area *area, const uint64 *saved_sp, struct hart *const *on);

// Change the name shown for the owner.
void kstack_rename(struct vm_area *area, const char *name);

// Describe the slot of va.  Takes no lock, reads no user memory: for the fault path.
void kstack_describe(vaddr_t va, struct kstack_slot *slot);

struct kstack_counts {
  uint64 stacks;                    // mapped now, cached ones included
  uint64 cached, lazy;              // in caches; unmapped, but not given back yet
  uint64 mapped, reused, unmapped;  // since boot
};

// Count stacks.  What changes meanwhile may be counted or not.
void kstack_count(struct kstack_counts *counts);

// Fill info for slot number i; returns false when it has no owner.  i from 0 to kstack_slots() - 1.
bool kstack_info(uint64 i, struct stack_info *info);
uint64 kstack_slots(void);

// Return every cached stack of every hart to the arena.  Returns how many.
uint64 kstack_drain(void);
