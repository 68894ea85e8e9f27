// SPDX-License-Identifier: MIT
//
// Accounts: who pays for kernel stacks.
//
// An account lies within another, up to the root.  A charge to it is a charge to all of those, too,
// so a process that makes a new account for itself stays within the limits of the old one.
// I1. used is at most limit, and at least the sum of what the accounts within it use.
// I2. An account exists while something is charged to it: used is its reference count.  So only a
//     thread that has something charged to an account, or the boot, may charge it.
#pragma once

#include "kern/lib/atomic.h"
#include "kern/lib/types.h"

#define ACCOUNT_DEPTH     8  // accounts within each other, the root included
#define ACCOUNT_UNLIMITED (~(uint64)0)

// [I] fixed after creation  [a] atomic
struct account {
  uint64 used;             // [a] pages
  uint64 limit;            // [I] pages
  struct account *parent;  // [I] null for the root
  int id;                  // [I] from 1, the root's
  int depth;               // [I] accounts from the root to this one
};

// It has no limit and is never freed.
extern struct account account_root;

// What the two functions below do, for any account: they spare users of the root a call.
bool account_charge_chain(struct account *account, uint64 pages, uint64 room);
void account_return_chain(struct account *account, uint64 pages);

// Charge pages to the account and to all that it lies within, if each has room for that many: at
// least pages, and more if the caller is likely to need them.  Returns false, having charged
// nothing, when one of them has not.  Any context.
static inline bool account_charge(struct account *account, uint64 pages, uint64 room) {
  if (account->parent)
    return account_charge_chain(account, pages, room);
  add_relaxed(&account->used, pages);
  return true;
}

// Take back a charge, and free the accounts to which nothing is charged any more.  Any context.
static inline void account_return(struct account *account, uint64 pages) {
  if (account->parent)
    account_return_chain(account, pages);
  else
    add_relaxed(&account->used, -pages);
}

// Make an account within parent and move pages that are charged to parent into it.  Returns 0,
// -EINVAL when the limit is too low for these pages, -EAGAIN when too many accounts would lie
// within each other, or -ENOMEM.
int account_create(struct account *parent, uint64 limit, uint64 pages, struct account **made);
