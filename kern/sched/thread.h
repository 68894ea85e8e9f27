// SPDX-License-Identifier: MIT
//
// Threads and run queues.
//
// A thread that is not running is one saved sp: switch.S pushes the rest on its stack.
// I1. A thread switches directly to the next; there is no scheduler thread.
// I2. The run-queue lock of the hart is held across the switch: the old thread takes it, whoever
//     comes back from the switch releases it (finish_switch), a new thread included.
// I3. A hart runs on a stack only after it has fenced since that stack was mapped (vm/tlb.h).
// I4. A dead thread's stack and struct are freed by the next thread on that hart.
// I5. Only the holder of the lock of t->hart's queue changes t->hart or t->state, so a thread that
//     is seen ready or asleep under that lock has left its stack.
#pragma once

#include "kern/lib/atomic.h"
#include "kern/lib/limits.h"
#include "kern/lib/list.h"
#include "kern/lib/spinlock.h"
#include "kern/lib/trapframe.h"
#include "kern/lib/types.h"
#include "vm/kstack.h"

struct process;
struct space;

enum thread_state { THREAD_NEW, THREAD_READY, THREAD_RUNNING, THREAD_SLEEPING, THREAD_DEAD };

// [I] fixed after creation  [s] run-queue lock of t->hart  [w] lock of the wait queue
// [o] only the running thread  [a] atomic
struct thread {
  uint64 sp;                  // [s] saved by switch.S while not running
  uint64 stack_lo, stack_hi;  // [I]
  struct kstack *kstack;      // [I]
  enum thread_state state;    // [s]
  struct hart *hart;          // [s] whose run queue it is on, or on which it last ran
  bool moved;                 // [s] comes from another hart: fence.i before it runs
  struct list run_node;       // [s]
  struct list wait_node;      // [w]
  uint64 deadline;            // [w] time to wake, for timed sleeps
  bool interruptible;         // [s] a kill ends this sleep
  bool killed;                // [a]
  uint32 sleeplocks;          // [o] sleep locks held
  bool in_transaction;        // [o] a log transaction is open
  struct space *space;        // [o] null for a kernel thread
  struct process *process;    // [o] null for a kernel thread and after the process
  int pid;                    // [I] 0 for a kernel thread
  char name[NAME_SIZE];       // [o]
  void (*start)(void *);      // [I]
  void *arg;                  // [I]
  bool fpu_used;              // [o] the program has used floating point
  uint64 fpu[33];             // [o] if so: f0-f31, fcsr, as saved last; last in the struct
};

// Return the trap frame with which the thread entered from user mode: at the top of its stack.
static inline struct trap_frame *thread_user_frame(const struct thread *t) {
  return (struct trap_frame *)(t->stack_hi - sizeof(struct trap_frame));
}

// Make the run queues and turn the boot flow into the idle thread of this hart.  Boot hart once;
// each other hart calls thread_init_hart with its own idle stack in the record.
void thread_init(void);
void thread_init_hart(void);

// Make a thread that will run start(arg) in the kernel, below a user frame's room at the top of its
// stack.  A process's is paid for by the account of the running thread, a kernel thread's by the
// root.  Returns NULL on no memory or at the account's limit.  It runs after thread_ready.  start
// must not return (use thread_exit).
struct thread *thread_create(const char *name, int pid, void (*start)(void *), void *arg);

// Free a thread that never ran, or that is dead and no longer on its stack.
void thread_free(struct thread *t);

// Make a new or sleeping thread ready; nothing happens in any other state.  Any context.
void thread_ready(struct thread *t);

// Make a new or sleeping thread ready to run on h, unless other harts even out their load first;
// nothing happens in any other state.  Any context.
void thread_place(struct thread *t, struct hart *h);

// Let another ready thread run, if there is one.  Holds: no spin lock.
void thread_yield(void);

// Sleep until thread_ready.  Called with lock held; it is released once this thread can no longer
// miss a wake-up, and held again on return.  Returns 0, or -EINTR when interruptible and the
// thread is (or was) killed; then it may still be linked where the caller put it.
int thread_block(struct spinlock *lock, bool interruptible);

// End the running thread; its stack and struct go when another thread runs.  Holds: no lock of any
// kind; and no space.  A process's thread has disowned its stack.
_Noreturn void thread_exit(void);

// Mark a thread to die on its way to user mode, and break its sleep if that is interruptible.
void thread_kill(struct thread *t);

// Reschedule if the running thread should give way.  Called on the way out of a trap, interrupts
// off.
void thread_preempt(void);

// A time slice has passed on this hart.  From the timer interrupt.  Returns whether another one is
// wanted; not so on an idle hart.
bool thread_tick(void);

// Time slices are wanted again: this hart leaves its idle thread.  Holds: interrupts off.
// Implemented by: kern/dev/timer.c.
void thread_start_slices(void);

// Give the running thread a new space (exec) or none (exit): sets thread->space and this hart's
// satp.  The code in the space is written already.
void thread_set_space(struct space *space);

// The idle loop of this hart; never returns.
_Noreturn void thread_idle(void);

// Return what t is doing; it may have changed already.
static inline enum thread_state thread_state(const struct thread *t) {
  return load_relaxed(&t->state);
}

// Give the running thread its floating-point registers after an illegal instruction at frame, with
// which it came from user mode.  Returns false when that was not the cause or the machine has no
// such registers.
bool fpu_first_use(struct trap_frame *frame);

// Copy the running thread's floating-point state to a forked child that has not run.
void fpu_fork(struct thread *child);

// The running thread begins a new program, whose frame has FS off: it has used no floating point.
static inline void fpu_drop(void) {
  thread_current()->fpu_used = false;
}
