// SPDX-License-Identifier: MIT
//
// System calls on processes, their memory and time.
#include "kern/dev/timer.h"
#include "kern/lib/abi.h"
#include "kern/proc/exec.h"
#include "kern/proc/process.h"
#include "kern/sys/sys.h"
#include "vm/kstack.h"
#include "vm/space.h"
#include "vm/usercopy.h"

int64 sys_fork(const uint64 *arg) {
  (void)arg;
  return process_fork();
}

int64 sys_exit(const uint64 *arg) {
  process_exit((int)arg[0]);
}

int64 sys_wait(const uint64 *arg) {
  return process_wait(arg[0], true);
}

int64 sys_reap(const uint64 *arg) {
  return process_wait(arg[0], false);
}

int64 sys_kill(const uint64 *arg) {
  return process_kill((int)arg[0]);
}

int64 sys_getpid(const uint64 *arg) {
  (void)arg;
  return thread_current()->pid;
}

int64 sys_stacklimit(const uint64 *arg) {
  return kstack_limit(thread_current()->kstack, arg[0]);
}

int64 sys_sbrk(const uint64 *arg) {
  uva_t old;
  int err = space_sbrk(space_current(), (int)arg[0], (int)arg[1] == SBRK_LAZY, &old);
  return err < 0 ? err : (int64)old;
}

int64 sys_sleep(const uint64 *arg) {
  int ticks = arg[0];
  return ticks > 0 ? timer_sleep(ticks) : 0;
}

int64 sys_uptime(const uint64 *arg) {
  (void)arg;
  return timer_ticks();
}

// Collect the strings of the user's null-terminated array.
static int copy_args(struct exec_args *args, uva_t argv) {
  for (;; argv += sizeof(uva_t)) {
    uva_t string;
    int err = copy_from_user(&string, argv, sizeof(string));
    if (err < 0 || string == 0)
      return err;
    err = exec_args_add_user(args, string);
    if (err < 0)
      return err;
  }
}

int64 sys_exec(const uint64 *arg) {
  char path[PATH_MAX];
  int err = copy_string_from_user(path, arg[0], sizeof(path));
  if (err < 0)
    return err;
  struct exec_args args;
  err = exec_args_init(&args);
  if (err == 0)
    err = copy_args(&args, arg[1]);
  return err < 0 ? err : process_exec(path, &args);
}
