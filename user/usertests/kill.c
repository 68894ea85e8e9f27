// SPDX-License-Identifier: MIT
//
// kill, whatever the victim is doing.

#include "user/usertests/tests.h"

static int ready[2];  // the victim says that it is about to begin

static void announce(void) {
  write(ready[1], "x", 1);
}

static void victim_sleeps(uint64 unused) {
  (void)unused;
  announce();
  sleep(100000);
}

static void victim_spins(uint64 unused) {
  (void)unused;
  announce();
  for (;;)
    ;
}

static void victim_calls(uint64 unused) {
  (void)unused;
  announce();
  for (;;)
    getpid();
}

static void victim_reads(uint64 unused) {
  int p[2];
  char c;
  (void)unused;
  check(pipe(p) == 0);
  announce();
  read(p[0], &c, 1);
  fail("read has returned");
}

static void victim_writes(uint64 unused) {
  int p[2];
  (void)unused;
  check(pipe(p) == 0);
  announce();
  for (;;)
    check(write(p[1], scratch, 1000) > 0);
}

static void victim_waits(uint64 unused) {
  int p[2];
  char c;
  (void)unused;
  check(pipe(p) == 0);
  if (must_fork() == 0) {
    close(p[1]);
    read(p[0], &c, 1);  // ends when the victim does
    exit(0);
  }
  close(p[0]);
  announce();
  wait(NULL);
  fail("wait has returned");
}

static void victim_writes_file(uint64 unused) {
  (void)unused;
  announce();
  for (;;)
    make_file("f", scratch, SCRATCH_SIZE);
}

static void victim_syncs(uint64 unused) {
  (void)unused;
  announce();
  for (;;)
    check(sync() == 0);
}

// Kill a victim some time after it has begun.
static void kill_it(void (*victim)(uint64), int delay) {
  char c;
  check(pipe(ready) == 0);
  int pid = must_fork();
  if (pid == 0) {
    victim(0);
    exit(0);
  }
  check(read(ready[0], &c, 1) == 1);
  if (delay > 0)
    sleep(delay);
  int start = uptime();
  check(kill(pid) == 0);
  check(wait_status() == -1);
  check(uptime() - start < 300);
  close(ready[0]);
  close(ready[1]);
}

static void kill_many(void (*victim)(uint64)) {
  kill_it(victim, 1);
  for (int i = 0; i < 10; i++)
    kill_it(victim, 0);
}

static void kill_sleeping(void) {
  kill_many(victim_sleeps);
}

static void kill_spinning(void) {
  kill_many(victim_spins);
}

static void kill_calling(void) {
  kill_many(victim_calls);
}

static void kill_reading(void) {
  kill_many(victim_reads);
}

static void kill_writing(void) {
  kill_many(victim_writes);
}

static void kill_waiting(void) {
  kill_many(victim_waits);
}

static void kill_writing_file(void) {
  kill_many(victim_writes_file);
  make_file("f", "still fine", 10);
  check(load_file("f", scratch, 100) == 10);
  unlink("f");
}

// Another process writes, so that there is something to wait for.
static void kill_syncing(void) {
  int writer = must_fork();
  if (writer == 0)
    for (;;)
      make_file("f", scratch, SCRATCH_SIZE);
  kill_many(victim_syncs);
  check(kill(writer) == 0 && wait_status() == -1);
  unlink("f");
}

static void kill_nobody(void) {
  check(kill(1) == -1 && kill(0) == -1 && kill(-1) == -1 && kill(0x7fffffff) == -1 &&
        kill((int)0x80000000) == -1);
  int pid = must_fork();
  if (pid == 0)
    exit(0);
  check(wait_status() == 0);
  check(kill(pid) == -1);
}

static void kill_me(uint64 unused) {
  (void)unused;
  kill(getpid());
  exit(1);
}

static void kill_self(void) {
  check(run_child(kill_me, 0) == -1);
}

// A child may be killed before it has ever run.
static void kill_at_once(void) {
  for (int i = 0; i < 100; i++) {
    int pid = must_fork();
    if (pid == 0)
      for (;;)
        getpid();
    check(kill(pid) == 0);
    check(wait_status() == -1);
  }
}

static void kill_twice(void) {
  int pid = must_fork();
  if (pid == 0)
    for (;;)
      ;
  check(kill(pid) == 0);
  kill(pid);
  kill(pid);
  check(wait_status() == -1);
}

const struct test kill_tests[] = {
    {"kill-sleeping", kill_sleeping, false},
    {"kill-spinning", kill_spinning, false},
    {"kill-calling", kill_calling, false},
    {"kill-reading", kill_reading, false},
    {"kill-writing", kill_writing, false},
    {"kill-waiting", kill_waiting, false},
    {"kill-writing-file", kill_writing_file, false},
    {"kill-syncing", kill_syncing, false},
    {"kill-nobody", kill_nobody, false},
    {"kill-self", kill_self, false},
    {"kill-at-once", kill_at_once, false},
    {"kill-twice", kill_twice, false},
    {NULL, NULL, false},
};
