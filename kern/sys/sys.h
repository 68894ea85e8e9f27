// SPDX-License-Identifier: MIT
//
// The system calls.  Each gets its arguments, a0 to a5, as the user's registers hold them, and
// returns its result or negative errno.  All run in process context, interrupts on, no lock held.
// docs/interface.md says what each one does.
#pragma once

#include "kern/lib/abi.h"
#include "kern/lib/types.h"

#define DECLARE_CALL(name, number) int64 sys_##name(const uint64 *arg);
SYSTEM_CALLS(DECLARE_CALL)
#undef DECLARE_CALL
