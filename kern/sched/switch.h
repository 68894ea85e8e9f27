// SPDX-License-Identifier: MIT
//
// The running thread leaves for the next one: to give way, to sleep, for good.
//
// I1. A thread switches directly to the next; there is no scheduler thread.
// I2. The lock of the hart's run queue is held across the switch: the old thread takes it, and the
//     new thread, which comes back from its own last switch, releases it.
// I3. A hart runs on a stack only after it has fenced since that stack was mapped (vm/tlb.h).
// I4. A dead thread's stack and struct are freed by the next thread on that hart.
#pragma once

#include "kern/lib/spinlock.h"
#include "kern/sched/thread.h"

struct runqueue;

// Make the run queues and turn the boot flow into the idle thread of this hart.  Boot hart once;
// each other hart calls thread_init_hart with its own idle stack in the record.  Holds: interrupts
// off.
void thread_init(void);
void thread_init_hart(void);

// Let another ready thread run, if there is one.  Holds: no spin lock.
void thread_yield(void);

// The same with q, this hart's queue, locked already, and no other spin lock held.  Returns when
// the thread runs again, maybe on another hart, the lock released and interrupts off.
void runq_yield(struct runqueue *q);

// Sleep until thread_ready.  lock is released once this thread can no longer miss a wake-up, and
// held again on return.  Returns 0, or -EINTR when interruptible and the thread is (or was) killed;
// then it may still be linked where the caller put it.  Holds: lock, and no other spin lock.
int thread_block(struct spinlock *lock, bool interruptible);

// End the running thread; its stack and struct go when another thread runs.  Holds: no lock of any
// kind, and no space.  A process's thread has disowned its stack.
_Noreturn void thread_exit(void);

// A time slice has passed on this hart.  From the timer interrupt.  Returns whether another one is
// wanted, which an idle hart does not need.
bool thread_tick(void);

// Give the running thread a new space (exec) or none (exit): sets thread->space and this hart's
// satp.  The code in the space is written already.
void thread_set_space(struct space *space);
