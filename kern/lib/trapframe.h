// SPDX-License-Identifier: MIT
//
// The trap frame: what trap/entry.S pushes, in x-register order, so xN is at 8*N by construction.
#pragma once

#include "kern/lib/types.h"

struct trap_frame {
  uint64 sepc;   // at 0, where x0 would be
  uint64 x[31];  // x1 to x31, as at the trap: x[n - 1] is xn, see frame_reg
  uint64 scause;
  uint64 stval;    // not of a system call
  uint64 sstatus;  // as at the trap, before the entry code cleared SUM and FS
  uint64 pad;      // keeps sp a multiple of 16
};

_Static_assert(sizeof(struct trap_frame) == 36 * 8, "entry.S pushes 36 words");
_Static_assert(offsetof(struct trap_frame, x) == 8, "xN is at 8*N");

enum reg { REG_RA = 1, REG_SP = 2, REG_S0 = 8, REG_A0 = 10, REG_A1 = 11, REG_A2 = 12, REG_A7 = 17 };

// Return xN of the frame as an lvalue, n from 1 to 31.
#define frame_reg(frame, n) ((frame)->x[(n)-1])
