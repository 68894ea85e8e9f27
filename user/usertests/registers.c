// SPDX-License-Identifier: MIT
//
// Registers, integer and floating point, over calls, switches, fork and exec.

#include "user/usertests/tests.h"

static void over_calls(void) {
  long numbers[] = {SYS_getpid, SYS_uptime, SYS_close, 0, 63, 1000, -1};
  for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
    long changed = registers_kept(numbers[i], i < 3 ? 100 : 2, 0x123456789abc + (long)i * 1000);
    if (changed)
      fail("call %ld: x%ld has changed", numbers[i], changed);
  }
}

static void spin(uint64 i) {
  check(registers_kept(-1, 3000000, (long)i << 40) == 0);
}

static void over_preemption(void) {
  for (uint64 i = 1; i <= 6; i++)
    if (must_fork() == 0) {
      spin(i);
      exit(0);
    }
  for (int i = 0; i < 6; i++)
    check(wait_status() == 0);
}

// What a program has load-reserved is not reserved after a call, whatever ran meanwhile.
static void reservation(void) {
  long numbers[] = {SYS_getpid, SYS_sleep, 1000}, word = 5;
  for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
    check(!reservation_kept(numbers[i], &word) && word == 5);
}

static void float_calls(void) {
  long numbers[] = {SYS_getpid, SYS_uptime, SYS_sleep, -1};
  for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
    long changed = floats_kept(numbers[i], 3, 0x400123456789abcd + (long)i);
    if (changed >= 0)
      fail("call %ld: f%ld has changed", numbers[i], changed);
  }
}

static void float_switches(void) {
  for (long i = 1; i <= 6; i++)
    if (must_fork() == 0) {
      check(floats_kept(SYS_sleep, 5, 0x4000000000000001 * i) == -1);
      check(floats_kept(SYS_getpid, 10000, 0x4010000000000001 * i) == -1);
      check(floats_kept(-1, 100000, 0x4020000000000001 * i) == -1);
      exit(0);
    }
  for (int i = 0; i < 6; i++)
    check(wait_status() == 0);
}

static void float_fork(void) {
  floats_set(0x3ff0000000000015);
  int pid = fork();
  if (pid == 0)
    exit(floats_check(0x3ff0000000000015) == -1 ? 0 : 2);
  check(floats_check(0x3ff0000000000015) == -1);
  floats_set(0x4ff0000000000012);  // before the child runs, if there is one hart
  check(pid > 0 && wait_status() == 0);
}

// What another process had in its registers does not leak into a new program.
static void float_exec(void) {
  if (must_fork() == 0) {
    floats_set(0x3ff0000000000015);
    sleep(1);  // another thread runs, so they are put away
    exec("/usertests", ARGS("usertests", "@floats"));
    fail("exec failed");
  }
  check(wait_status() == 0);
}

// A child that never used floating point runs after one that did.
static void float_clean(void) {
  check(run_child((void (*)(uint64))(void *)floats_set, 0x123456789) == 0);
  double sum = 0;
  for (int i = 1; i <= 1000; i++) {
    sum += 1.0 / i;
    if (i % 100 == 0)
      getpid();
  }
  check(sum > 7.4854 && sum < 7.4855);
}

const struct test register_tests[] = {
    {"registers-calls", over_calls, false},
    {"registers-preemption", over_preemption, false},
    {"reservation", reservation, false},
    {"float-calls", float_calls, false},
    {"float-switches", float_switches, false},
    {"float-fork", float_fork, false},
    {"float-exec", float_exec, false},
    {"float-clean", float_clean, false},
    {NULL, NULL, false},
};
