// SPDX-License-Identifier: MIT
//
// Descriptions of processes, for ps and for the console's ^P.
#include "kern/dev/console.h"
#include "kern/lib/print.h"
#include "kern/lib/string.h"
#include "kern/proc/pid.h"
#include "kern/proc/process.h"
#include "vm/space.h"

static enum process_state state_of(const struct thread *t) {
  static const enum process_state states[] = {
      [THREAD_NEW] = PROCESS_READY,         [THREAD_READY] = PROCESS_READY,
      [THREAD_RUNNING] = PROCESS_RUNNING,   [THREAD_DEAD] = PROCESS_RUNNING,
      [THREAD_SLEEPING] = PROCESS_SLEEPING,
  };
  return t ? states[thread_state(t)] : PROCESS_ZOMBIE;
}

// Holds: process_lock.
static void process_describe(const struct process *p, struct process_info *info) {
  assert(spin_holding(&process_lock));
  const struct thread *t = p->thread;
  *info = (struct process_info){
      .pid = p->pid,
      .parent = p->parent ? p->parent->pid : 0,
      .state = state_of(t),
      .hart = t && t->hart ? t->hart->index : 0,
      .pages = t && t->space ? space_pages(t->space) : 0,
  };
  if (t) {
    // The account lasts while it pays for the stack: until become_zombie, under process_lock.
    const struct account *account = load_acquire(&t->kstack->account);
    info->account = account->id;
    info->within = account->parent ? account->parent->id : 0;
    info->used = load_relaxed(&account->used);
    info->limit = account->limit;
  }
  string_copy(info->name, p->name, sizeof(info->name));
}

bool process_describe_next(uint64 *cursor, struct process_info *info) {
  irq_t irq = spin_lock(&process_lock);
  const struct process *p = pid_next(cursor);
  if (p)
    process_describe(p, info);
  spin_unlock(&process_lock, irq);
  return p;
}

void console_listing(void) {
  static const char *const states[] = {"?", "running", "ready", "sleeping", "zombie"};
  struct process_info info;
  uint64 cursor = 0;
  kprintf("\n  PID PARENT STATE    HART  PAGES ACCOUNT DEPTH  PEAK NAME\n");
  for (;;) {
    struct thread_wait wait = {.lock = NULL};
    struct stack_info stack = {.depth = 0};
    irq_t irq = spin_lock(&process_lock);
    const struct process *p = pid_next(&cursor);
    if (p)
      process_describe(p, &info);
    if (p && p->thread) {
      thread_describe_wait(p->thread, &wait);
      uint64 slot = (p->thread->kstack->lo - KSTACK_BASE) >> KSTACK_SLOT_SHIFT;
      if (slot < kstack_slots())  // else the stack has no guards
        kstack_info(slot, &stack);
    }
    spin_unlock(&process_lock, irq);
    if (!p)
      break;
    kprintf("%5d %6d %-8s %4d %6lu %7d %5lu %5lu %s%s%s", info.pid, info.parent, states[info.state],
            info.hart, info.pages, info.account, stack.depth, stack.peak, info.name,
            wait.lock ? ", waits for " : "", wait.lock ? wait.lock : "");
    if (wait.owner[0])
      kprintf(", held by pid %d (%s)", wait.owner_pid, wait.owner);
    kprintf("\n");
  }
}
