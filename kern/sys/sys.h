// SPDX-License-Identifier: MIT
//
// The system calls.  Each gets its arguments, a0 to a5, as the user's registers hold them, and
// returns its result or negative errno.  All run in process context, interrupts on, no lock held.
// docs/interface.md says what each one does.
#pragma once

#include "kern/lib/types.h"

// The name as the user sees it is that of the function; the number is in kern/lib/abi.h.
#define SYSTEM_CALLS(CALL)                                                                         \
  CALL(fork)                                                                                       \
  CALL(exit)                                                                                       \
  CALL(wait)                                                                                       \
  CALL(pipe)                                                                                       \
  CALL(read)                                                                                       \
  CALL(kill)                                                                                       \
  CALL(exec)                                                                                       \
  CALL(fstat)                                                                                      \
  CALL(chdir)                                                                                      \
  CALL(dup)                                                                                        \
  CALL(getpid)                                                                                     \
  CALL(sbrk)                                                                                       \
  CALL(sleep)                                                                                      \
  CALL(uptime)                                                                                     \
  CALL(open)                                                                                       \
  CALL(write)                                                                                      \
  CALL(mknod)                                                                                      \
  CALL(unlink)                                                                                     \
  CALL(link)                                                                                       \
  CALL(mkdir)                                                                                      \
  CALL(close)                                                                                      \
  CALL(poweroff)                                                                                   \
  CALL(stackinfo)                                                                                  \
  CALL(procinfo)                                                                                   \
  CALL(meminfo)

#define DECLARE_CALL(name) int64 sys_##name(const uint64 *arg);
SYSTEM_CALLS(DECLARE_CALL)
#undef DECLARE_CALL
