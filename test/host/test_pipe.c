// SPDX-License-Identifier: MIT
//
// Pipes: bytes in order around the ring, ends that close, bad addresses, and writers and readers
// in threads.
//
// Links: kern/sched/held.c kern/sched/sleeplock.c test/host/fs_stubs.c
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "kern/fs/pipe.h"
#include "kern/lib/errno.h"
#include "kern/lib/hart.h"
#include "kern/sched/held.h"
#include "kern/sched/thread.h"
#include "test/host/fs_stubs.h"

static struct pipe *p;

static struct pipe *make_pipe(void) {
  struct pipe *reads = NULL, *writes = NULL;
  CHECK((pipe_create(&reads, &writes) == 0) == !!reads && reads == writes);
  CHECK(thread_current()->held_count == 0);
  return reads;
}

static void close_end(bool write_end) {
  struct pipe *end = p;
  pipe_close(&end, write_end);
  CHECK(!end && thread_current()->held_count == 0);
}

static void test_ring(void) {
  p = make_pipe();
  CHECK(p && pipe_read(p, USER_BASE, 0) == 0 && pipe_write(p, USER_BASE, 0) == 0);
  uint64 in = 0, out = 0;
  for (uint32 i = 0; i < 3000; i++) {
    uint64 n = i * 37 % 9000 + 1, got = 0;
    for (uint64 k = 0; k < n; k++)
      user_memory[k] = (uint8)((in + k) % 251);
    CHECK(pipe_write(p, USER_BASE, n) == (int64)n);
    in += n;
    while (got < n) {
      int64 r = pipe_read(p, USER_BASE + 20000, i % 3 ? 1 + i % 700 : 9000);
      CHECK(r > 0);
      for (int64 k = 0; k < r; k++)
        CHECK(user_memory[20000 + k] == (uint8)((out + (uint64)k) % 251));
      got += (uint64)r;
      out += (uint64)r;
    }
    CHECK(got == n);
  }
}

static void test_addresses(void) {
  user_bad_from = USER_BASE + 4096;
  CHECK(pipe_write(p, user_bad_from - 10, 11) == -EFAULT && pipe_write(p, 0, 1) == -EFAULT);
  CHECK(pipe_write(p, user_bad_from - 10, 10) == 10 && pipe_read(p, 0, 5) == -EFAULT);
  CHECK(pipe_read(p, user_bad_from - 3, 4) == -EFAULT && pipe_read(p, USER_BASE, 99) == 10);
  user_bad_from = USER_BASE + USER_SIZE;
}

static void test_ends(void) {
  CHECK(pipe_write(p, USER_BASE, 5) == 5);
  close_end(true);
  CHECK(pipe_read(p, USER_BASE, 3) == 3 && pipe_read(p, USER_BASE, 3) == 2);
  CHECK(pipe_read(p, USER_BASE, 3) == 0);
  close_end(false);
  p = make_pipe();
  close_end(false);
  CHECK(pipe_write(p, USER_BASE, 5) == -EPIPE);
  close_end(true);
  fail_allocation = 1;
  CHECK(!make_pipe());
  fail_allocation = 2;
  p = make_pipe();  // a smaller ring
  CHECK(p && pipe_write(p, USER_BASE, 4096) == 4096);
  thread_current()->killed = true;
  CHECK(pipe_write(p, USER_BASE, 1) == -EINTR && pipe_read(p, USER_BASE, 4096) == 4096);
  CHECK(pipe_read(p, USER_BASE, 1) == -EINTR && pipe_write(p, USER_BASE, 5000) == 4096);
  thread_current()->killed = false;
  close_end(false);
  close_end(true);
  CHECK(live_objects == 0);
}

enum { WRITERS = 3, READERS = 2, RECORDS = 4000, RECORD = 100 };
static uint64 sum_in, sum_out;

// Records of RECORD equal bytes, which small writes never mix; and one large write between.
static void *writer(void *arg) {
  uint64 at = 100000 * (1 + (uintptr_t)arg), sum = 0;
  for (uint32 i = 0; i < RECORDS; i++) {
    uint8 c = (uint8)(i * 7 + (uintptr_t)arg);
    memset(user_memory + at, c, RECORD);
    CHECK(pipe_write(p, USER_BASE + at, RECORD) == RECORD);
    sum += (uint64)c * RECORD;
  }
  __atomic_fetch_add(&sum_in, sum, __ATOMIC_RELAXED);
  return NULL;
}

static void *reader(void *arg) {
  uint64 at = 500000 + 100000 * (uintptr_t)arg, sum = 0;
  int64 n;
  while ((n = pipe_read(p, USER_BASE + at, 30 * RECORD)) > 0) {
    CHECK(n % RECORD == 0);
    for (int64 i = 0; i < n; i++) {
      CHECK(user_memory[at + (uint64)i] == user_memory[at + (uint64)(i / RECORD * RECORD)]);
      sum += user_memory[at + (uint64)i];
    }
  }
  CHECK(n == 0);
  __atomic_fetch_add(&sum_out, sum, __ATOMIC_RELAXED);
  return NULL;
}

static void test_threads(void) {
  pthread_t w[WRITERS], r[READERS];
  p = make_pipe();
  for (uintptr_t i = 0; i < WRITERS; i++)
    CHECK(pthread_create(&w[i], NULL, writer, (void *)i) == 0);
  for (uintptr_t i = 0; i < READERS; i++)
    CHECK(pthread_create(&r[i], NULL, reader, (void *)i) == 0);
  for (uint32 i = 0; i < WRITERS; i++)
    pthread_join(w[i], NULL);
  close_end(true);
  for (uint32 i = 0; i < READERS; i++)
    pthread_join(r[i], NULL);
  close_end(false);
  CHECK(sum_in == sum_out && live_objects == 0);
}

int main(void) {
  alarm(60);
  test_ring();
  test_addresses();
  test_ends();
  test_threads();
  return 0;
}
