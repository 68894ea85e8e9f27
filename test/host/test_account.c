// SPDX-License-Identifier: MIT
//
// Accounts: a model of the sums, limits that are met exactly, accounts that go when nothing is
// charged to them, and threads that charge the same ones.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "kern/lib/atomic.h"
#include "kern/lib/errno.h"
#include "test/host/check.h"
#include "test/host/panic_host.h"
#include "vm/account.h"
#include "vm/kmalloc.h"

#define OWNERS  12
#define THREADS 4
#define PAGES   4

static int accounts;  // [a] that exist, without the root
static bool no_memory;

void *kmalloc(size_t size) {
  if (no_memory)
    return NULL;
  fetch_add(&accounts, 1);
  return malloc(size);
}

void kfree(void *p) {
  fetch_sub(&accounts, 1);
  free(p);
}

static void test_limit(void) {
  struct account *a, *b, *c;
  CHECK(account_charge(&account_root, PAGES, PAGES));
  CHECK(account_create(&account_root, 3 * PAGES, PAGES, &a) == 0);
  CHECK(a->used == PAGES && account_root.used == PAGES && a->parent == &account_root && a->id > 1);
  CHECK(account_charge(a, PAGES, PAGES) && account_charge(a, PAGES, PAGES));
  CHECK(!account_charge(a, 1, 1));
  CHECK(account_create(a, 100 * PAGES, PAGES, &b) == 0);
  CHECK(!account_charge(b, PAGES, PAGES) && b->used == PAGES && a->used == 3 * PAGES);
  account_return(a, PAGES);
  CHECK(account_charge(b, 1, PAGES) && a->used == 2 * PAGES + 1);
  CHECK(!account_charge(b, 1, PAGES) && b->used == PAGES + 1 && a->used == 2 * PAGES + 1);
  account_return(b, 1);
  CHECK(account_charge(b, PAGES, PAGES) && !account_charge(b, PAGES, PAGES));
  CHECK(b->used == 2 * PAGES && a->used == 3 * PAGES && account_root.used == 3 * PAGES);
  account_return(a, PAGES);
  CHECK(accounts == 2 && account_create(b, 2 * PAGES, PAGES, &c) == 0 && c->id > b->id);
  account_return(b, PAGES);
  CHECK(accounts == 3 && b->used == PAGES && a->used == PAGES);
  account_return(c, PAGES);
  CHECK(accounts == 0 && account_root.used == 0);
}

static void test_refused(void) {
  struct account *a = &account_root, *made;
  CHECK(account_charge(a, PAGES, PAGES));
  CHECK(account_create(a, PAGES - 1, PAGES, &made) == -EINVAL);
  CHECK(account_create(a, 0, PAGES, &made) == -EINVAL);
  CHECK(account_create(a, ACCOUNT_UNLIMITED, PAGES, &made) == -EINVAL);
  CHECK(account_create(a, (uint64)INT64_MAX + 1, PAGES, &made) == -EINVAL);
  no_memory = true;
  CHECK(account_create(a, PAGES, PAGES, &made) == -ENOMEM);
  no_memory = false;
  for (int depth = 2; depth <= ACCOUNT_DEPTH; depth++) {
    CHECK(account_create(a, INT64_MAX, PAGES, &made) == 0 && made->depth == depth);
    a = made;
  }
  CHECK(account_create(a, INT64_MAX, PAGES, &made) == -EAGAIN && a->used == PAGES);
  account_return(a, PAGES);
  CHECK(accounts == 0 && account_root.used == 0);
}

static uint64 random_below(uint64 *state, uint64 n) {
  *state = *state * 6364136223846793005UL + 1442695040888963407UL;
  return (*state >> 33) % n;
}

// What each account on the way up should use: all that the owners charge within it.
static void check_sums(struct account *const owner[], uint64 n) {
  for (uint64 i = 0; i < n; i++)
    for (const struct account *a = owner[i]; a; a = a->parent) {
      uint64 sum = 0;
      for (uint64 k = 0; k < n; k++)
        for (const struct account *b = owner[k]; b; b = b->parent)
          sum += b == a ? PAGES : 0;
      CHECK(a->used == sum && sum <= a->limit);
    }
}

// Owners that come by a fork, end, and make accounts, at random.
static void churn(struct account *owner[], uint64 seed, int steps, bool alone) {
  for (int i = 0; i < steps; i++) {
    uint64 from = random_below(&seed, OWNERS), to = 1 + random_below(&seed, OWNERS - 1);
    struct account *made;
    if (owner[to]) {
      account_return(owner[to], PAGES);
      owner[to] = NULL;
    } else if (owner[from] && from != to && account_charge(owner[from], PAGES, PAGES)) {
      owner[to] = owner[from];
    }
    if (owner[from] && from != 0 && random_below(&seed, 3) == 0 &&
        account_create(owner[from], PAGES * (1 + random_below(&seed, 6)), PAGES, &made) == 0)
      owner[from] = made;
    if (alone)
      check_sums(owner, OWNERS);
  }
  for (int i = 1; i < OWNERS; i++)
    if (owner[i])
      account_return(owner[i], PAGES);
}

static void test_model(void) {
  struct account *owner[OWNERS] = {&account_root};
  CHECK(account_charge(&account_root, PAGES, PAGES));
  churn(owner, 1, 20000, true);
  CHECK(accounts == 0 && account_root.used == PAGES);
  account_return(&account_root, PAGES);
}

static struct account *common;

static void *thread_main(void *seed) {
  struct account *owner[OWNERS] = {common};
  churn(owner, (uint64)seed, 200000, false);
  account_return(common, PAGES);
  return NULL;
}

static void test_threads(void) {
  pthread_t thread[THREADS];
  CHECK(account_charge(&account_root, PAGES, PAGES));
  CHECK(account_create(&account_root, THREADS * 3 * PAGES, PAGES, &common) == 0);
  for (int i = 0; i < THREADS; i++)  // all of them before one thread may fill it
    CHECK(account_charge(common, PAGES, PAGES));
  for (uint64 i = 0; i < THREADS; i++)
    CHECK(pthread_create(&thread[i], NULL, thread_main, (void *)(i + 7)) == 0);
  for (int i = 0; i < THREADS; i++)
    CHECK(pthread_join(thread[i], NULL) == 0);
  CHECK(accounts == 1 && common->used == PAGES && account_root.used == PAGES);
  account_return(common, PAGES);
  CHECK(accounts == 0 && account_root.used == 0);
}

int main(void) {
  test_limit();
  test_refused();
  test_model();
  test_threads();
  return 0;
}
