// SPDX-License-Identifier: MIT
//
// Accounts: sums that never pass a limit, kept without a lock.
#include "vm/account.h"

#include "kern/lib/atomic.h"
#include "kern/lib/errno.h"
#include "kern/lib/panic.h"
#include "vm/kmalloc.h"

struct account account_root = {.limit = ACCOUNT_UNLIMITED, .id = 1, .depth = 1};
static int last_id = 1;  // [a]

// Charge one account alone.  Returns false when it has no room.
static bool charge_one(struct account *account, uint64 pages, uint64 room) {
  uint64 used = load_relaxed(&account->used);
  do {
    if (room > account->limit - used)  // I1: no wrap
      return false;
  } while (!compare_swap(&account->used, &used, used + pages));
  return true;
}

bool account_charge_chain(struct account *account, uint64 pages, uint64 room) {
  for (struct account *a = account; a; a = a->parent)
    if (!charge_one(a, pages, room)) {
      for (; account != a; account = account->parent)
        fetch_sub(&account->used, pages);  // not to 0: the caller has more charged (I2)
      return false;
    }
  return true;
}

void account_return_chain(struct account *account, uint64 pages) {
  for (struct account *parent; account; account = parent) {
    parent = account->parent;  // now: once ours is returned, another return may free it
    uint64 used = fetch_sub(&account->used, pages);
    assert(used >= pages);
    if (used == pages && parent)
      kfree(account);
  }
}

int account_create(struct account *parent, uint64 limit, uint64 pages, struct account **made) {
  if ((int64)limit < 0 || limit < pages)
    return -EINVAL;
  if (parent->depth == ACCOUNT_DEPTH)
    return -EAGAIN;
  struct account *account = kmalloc(sizeof(*account));
  if (!account)
    return -ENOMEM;
  *account = (struct account){
      .used = pages,
      .limit = limit,
      .parent = parent,
      .id = fetch_add(&last_id, 1) + 1,
      .depth = parent->depth + 1,
  };
  *made = account;
  return 0;
}
