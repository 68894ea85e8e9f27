// SPDX-License-Identifier: MIT
//
// Processes: the tree, exit and wait.
//
// I1. process_lock guards the tree, the pid table, every state, and which space a process has; it
//     is never held across a sleep.
// I2. A process is freed by the parent's wait; its thread and stack by the next thread on its hart.
//     So from the moment it is a zombie its own thread no longer touches it.
// I3. A zombie has no open file, no directory, no user page and no page table.
//
// kern/proc/init.c has process_init, kern/proc/describe.c process_describe_next, and
// kern/proc/process.c the rest.
#pragma once

#include "kern/lib/abi.h"
#include "kern/lib/hart.h"
#include "kern/lib/limits.h"
#include "kern/lib/list.h"
#include "kern/lib/types.h"
#include "kern/sched/thread.h"
#include "kern/sched/waitq.h"

struct file;
struct inode;
struct space;

// [I] fixed after creation  [t] process_lock  [o] only its own thread
struct process {
  int pid;                        // [I]
  int status;                     // [t] of exit
  struct thread *thread;          // [t] null once zombie
  struct process *parent;         // [t]
  struct list children;           // [t] alive, by sibling
  struct list zombies;            // [t] not waited for, by sibling
  struct list sibling;            // [t]
  struct waitq child_exited;      // [t]
  struct file *files[FILES_MAX];  // [o]
  struct inode *cwd;              // [o]
  char name[NAME_SIZE];           // [o]
};

// Return the running process.  Process context.
static inline struct process *process_current(void) {
  return thread_current()->process;
}

// Make the tables and the first process, which mounts the root and runs init.  Boot hart, before
// thread_idle.
void process_init(void);

// Make a process and its thread, which will run start(NULL) in the kernel; nothing sees either yet,
// and the process is in the call's record (kern/sched/held.h) until it is published or discarded.
// It has no space, no file and no directory.  Returns NULL when there is no memory, or no pid; then
// what was made may stay in the record until the call ends (I4 there).
struct process *process_create(const char *name, void (*start)(void *));

// Free a process that was never published, with all it has, or a zombie of the running process.
// May be called again after a fault within itself.
void process_discard(struct process *p);

// Put a complete process into the tree, parent NULL for the first one, and let it run.
void process_publish(struct process *p, struct process *parent);

// Give the running process another space, which the call's record has, or none, and free its old
// one.
void process_replace_space(struct space *space);

// Free a space that the call's record has.
void process_free_space(struct space *space);

// Copy the running process.  Returns the child's pid, or negative errno; then, too, what was
// made may stay in the record until the call ends.
int process_fork(void);

// End the running process: give back what it holds, hand its children to init, become a zombie.
// May be called on top of a stack whose contents were given up (a killed overflow victim), and
// again after an overflow within itself.  Holds: no lock, and no transaction is open.
_Noreturn void process_exit(int status);

// Sleep, if may_sleep, until a child is a zombie, store its status at the user address status
// unless that is 0, and free it.  Returns its pid, -ECHILD, -EAGAIN (would sleep), -EINTR, or
// -EFAULT and the child stays.
int process_wait(uva_t status, bool may_sleep);

// Mark the process to die on its way to user mode.  Returns 0, or -ESRCH when there is none or it
// is the first one.
int process_kill(int pid);

// Describe the process after *cursor, which begins at 0, and move *cursor on to it.  Returns false
// after the last.  Any context.
bool process_describe_next(uint64 *cursor, struct process_info *info);

// Leave the kernel through the user frame at the top of the running thread's stack; end the process
// instead if it is marked to die.
// Implemented by: trap/trap.c.
_Noreturn void user_return(void);
