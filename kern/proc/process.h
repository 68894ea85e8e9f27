// SPDX-License-Identifier: MIT
//
// Processes: the tree, exit and wait, exec.
//
// I1. process_lock guards the tree, the pid table and every state; it is never held across a sleep.
// I2. A process is freed by the parent's wait; its thread and stack by the next thread on its hart.
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

// [I] fixed after creation  [t] process_lock  [o] only its own thread
struct process {
  int pid;                        // [I]
  struct thread *thread;          // [t] null once zombie
  struct process *parent;         // [t]
  struct list children;           // [t]
  struct list sibling;            // [t]
  struct list pid_node;           // [t]
  struct waitq child_exited;      // [t]
  bool zombie;                    // [t]
  int status;                     // [t]
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

int process_fork(void);  // child's pid, or negative errno
_Noreturn void process_exit(int status);
int process_wait(int *status);                           // pid, -ECHILD or -EINTR
int process_kill(int pid);                               // 0 or -ESRCH
int process_exec(const char *path, char *const argv[]);  // argc; kernel strings, null-terminated
int process_list(struct process_info *info,
                 int n);  // processes there are; fills at most n (kernel memory)

// Leave the kernel through the user frame at the top of the running thread's stack.
// Implemented by: trap/trap.c.
_Noreturn void user_return(void);
