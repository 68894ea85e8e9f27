// SPDX-License-Identifier: MIT
//
// Threads: what one is, how it is made and freed.  kern/sched/switch.h has how it leaves its hart
// for another thread, kern/sched/ready.h how it becomes ready.
//
// A thread that is not running is one saved sp: switch.S pushes the rest on its stack.
// I1. Only the holder of the lock of t->hart's queue changes t->hart or t->state, so a thread that
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
struct sleeplock;
struct space;

// References in a call's record (kern/sched/held.h).  No call has more than 6: docs/survival.md.
enum { HELD_MAX = KASAN ? 6 : 8 };

enum thread_state { THREAD_NEW, THREAD_READY, THREAD_RUNNING, THREAD_SLEEPING, THREAD_DEAD };

// [I] fixed after creation  [s] run-queue lock of t->hart  [w] lock of the wait queue
// [o] only the running thread  [a] atomic  [h] waiting_lock of watch.c, where its own thread writes
struct thread {
  uint64 sp;                  // [s] saved by switch.S while not running
  uint64 stack_lo, stack_hi;  // [o] lo falls as it grows, and with the reserve; hi: thread_room
  struct kstack *kstack;      // [I]
  struct hart *hart;          // [s] whose run queue it is on, or on which it last ran
  struct list run_node;       // [s]
  struct list wait_node;      // [w]
  uint64 deadline;            // [w] time to wake, for timed sleeps
  enum thread_state state;    // [s]
  bool moved;                 // [s] comes from another hart, or is doomed: see switch.c, prepare
  bool sleeps_through;        // [s] no kill ends this sleep, or the last one
  bool wants_sleeplock;       // [w] waits is the guard of a sleep lock
  bool killed;                // [a]
  int16 sleeplocks;           // [o] sleep locks held, less one if doomed
  bool doomed;                // [o] dies when it holds nothing any more (trap/kernel_fault.c)
  bool in_transaction;        // [o] a log transaction is open
  bool changed;               // [o] if so: something may be half changed
  bool gives_back;            // [o] it was killed, and gives back what it holds
  bool fpu_used;              // [o] the program has used floating point
  uint8 held_count;           // [o]
  uint64 held[HELD_MAX];      // [o] kern/sched/held.h
  struct sleeplock *locks;    // [o] sleep locks held, last taken first
  struct space *space;        // [o] null for a kernel thread
  struct process *process;    // [o] null for a kernel thread and after the process
  void (*start)(void *);      // [I]
  void *arg;                  // [I]
  int pid;                    // [I] 0 for a kernel thread
  uint32 waits_since;         // [h] heartbeats when it began to wait for a sleep lock
  char name[NAME_SIZE];       // [o]
  uint64 fpu[33];             // [o] if fpu_used: f0-f31, fcsr, as saved last
  // From fpu on, nothing is set before its first use.
  struct spinlock *waits;  // [s] while it sleeps: the lock of what it waits for
  struct list hang_node;   // [h] in order of waits_since
};
_Static_assert(sizeof(struct thread) <= 512, "more would take 1 KiB");

// Return the trap frame with which the thread entered from user mode: at the top of its stack.
static inline struct trap_frame *thread_user_frame(const struct thread *t) {
  return (struct trap_frame *)(t->stack_hi - sizeof(struct trap_frame));
}

// Return how many bytes of its stack t may use: all, unless provoke has taken some away at the top.
// A process leaves its children as much as it has, and what their first frames need.
static inline uint64 thread_room(const struct thread *t) {
  return t->stack_hi - t->kstack->lo;
}

// Return what t is doing; it may have changed already.
static inline enum thread_state thread_state(const struct thread *t) {
  return load_relaxed(&t->state);
}

// What a thread waits for.
struct thread_wait {
  const char *lock;       // the name of its lock; null: it does not sleep
  int owner_pid;          // of a sleep lock
  char owner[NAME_SIZE];  // empty: there is none
};

// Describe that.  t cannot end meanwhile.  Any context.  In kern/sched/ready.c.
void thread_describe_wait(const struct thread *t, struct thread_wait *wait);

// Make a thread that will run start(arg) in the kernel, once thread_ready is called for it.  The
// top of its stack is reserved for a user trap frame.  The account of the running thread pays for
// the stack of a process (pid not 0), the root account for that of a kernel thread.  start must not
// return (use thread_exit).  Returns NULL when there is no memory or the account is at its limit;
// then the struct may stay in the record of the call until that ends (kern/sched/held.h, I4).
struct thread *thread_create(const char *name, int pid, void (*start)(void *), void *arg);

// Have the trap code see, as soon as interrupts are on, whether the running thread is doomed and
// holds nothing any more: this raises a software interrupt.  In kern/sched/switch.c.
void thread_ask_end(void);

// The running thread t has let go of a sleep lock, or of what counts as one.
static inline void thread_let_go(struct thread *t) {
  if (__builtin_expect(t->sleeplocks-- == 0, 0))
    thread_ask_end();
}

// Return how many sleep locks the running thread t holds, and turns that count as one.  Interrupts
// are off, or t cannot be doomed, which changes both.
static inline int thread_sleeplocks(const struct thread *t) {
  return t->sleeplocks + t->doomed;
}

// The running thread t ends now, and by itself: nothing more interrupts it for that.
static inline void thread_end_doom(struct thread *t) {
  t->sleeplocks += t->doomed;
  t->doomed = false;
}

// Free a thread that never ran, or that is dead and no longer on its stack.
void thread_free(struct thread *t);
