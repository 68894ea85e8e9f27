// SPDX-License-Identifier: MIT
//
// Hangs: what waits for too long, and the report of it (docs/hangs.md).  kern/sched/watch.c looks
// at harts and threads, spin_wait at spin locks.
#pragma once

#include "kern/lib/types.h"

struct hart;
struct thread;
struct trap_frame;

enum hang { HANG_SPIN, HANG_HARD, HANG_SOFT, HANG_TASK };

// How long a spin lock may be waited for, in ticks of time; the other limits are multiples of it.
// 0: nothing is watched.
extern uint64 hang_limit;  // [I]

// Grows while a hart waits for a console that does not move, such as a terminal that was stopped
// with ^S.  Such a hart, and those that wait for its locks, do not hang.
extern uint64 hang_excuses;  // [a]

// Set it from the boot arguments.  Boot only.
void hang_init(void);

// Report, with the backtraces of all harts, what is the matter with hart h or, for HANG_TASK, with
// thread t, and panic.  Returns after HANG_TASK, and when another hart has reported meanwhile.
// Any context.  Implemented by: trap/hang_report.c.
void hang_report(enum hang class, const struct hart *h, const struct thread *t);

// While another hart reports a hang, stand still, so that it can print this hart's backtrace: from
// frame, or, if that is null, from the caller on.  Implemented by: trap/hang_report.c.
void hang_answer(const struct trap_frame *frame);
