// SPDX-License-Identifier: MIT
//
// The life of a process: fork, exit, wait, kill.
//
// A child is built where nothing can see it, and published in one step.  Exit clears each pointer
// as what it pointed to goes into the call's record, so it can start over after a fault halfway;
// then the process becomes a zombie in one step.
#include "kern/proc/process.h"

#include "kern/fs/file.h"
#include "kern/fs/inode.h"
#include "kern/lib/errno.h"
#include "kern/lib/string.h"
#include "kern/proc/pid.h"
#include "kern/sched/fpu.h"
#include "kern/sched/held.h"
#include "kern/sched/ready.h"
#include "kern/sched/switch.h"
#include "vm/kmalloc.h"
#include "vm/space.h"
#include "vm/usercopy.h"

static struct process *init;  // [I] adopts orphans; the first one published

UNDIVIDED struct process *process_create(const char *name, void (*start)(void *)) {
  struct process *p = held_alloc(HELD_PROCESS, sizeof(*p));
  if (!p)
    return NULL;
  list_init(&p->children);
  list_init(&p->zombies);
  list_init(&p->sibling);
  waitq_init(&p->child_exited, &process_lock);
  string_copy(p->name, name, sizeof(p->name));
  irq_t irq = spin_lock(&process_lock);
  p->pid = pid_reserve(thread_current()->kstack->account != &account_root);
  spin_unlock_irq_off(&process_lock);
  kstack_refill();
  irq_restore(irq);
  if (p->pid > 0)
    p->thread = thread_create(name, p->pid, start, NULL);
  if (!p->thread)
    return NULL;
  p->thread->process = p;
  return p;
}

void process_free_space(struct space *space) {
  space_destroy(space);
  held_free(HELD_SPACE, space);
}

static void give_back_files(struct process *p) {
  for (int i = 0; i < FILES_MAX; i++)
    if (p->files[i])
      file_close(&p->files[i]);
  inode_close(&p->cwd);
}

void process_discard(struct process *p) {
  struct thread *t = p->thread;
  if (t) {
    give_back_files(p);
    struct space *space = t->space;
    if (space)
      space_destroy(space);
    t->space = NULL;
    kfree(space);
    p->thread = NULL;
    thread_free(t);
  }
  irq_t irq = spin_lock(&process_lock);
  list_remove(&p->sibling);
  if (p->pid > 0)
    pid_release(p->pid);
  p->pid = 0;
  spin_unlock(&process_lock, irq);
  held_free(HELD_PROCESS, p);
}

void process_publish(struct process *p, struct process *parent) {
  struct thread *t = p->thread;  // p may be gone as soon as it has run
  irq_t irq = spin_lock(&process_lock);
  if (!parent)
    init = p;
  else
    list_push_back(&parent->children, &p->sibling);
  p->parent = parent;
  pid_insert(p);
  held_pop(HELD_PROCESS, p);
  // Under the lock: until it is released p cannot become a zombie, and nobody frees its thread.
  thread_ready(t);
  spin_unlock(&process_lock, irq);
}

static void child_start(void *arg) {
  (void)arg;
  user_return();
}

int process_fork(void) {
  struct process *parent = process_current();
  struct process *child = process_create(parent->name, child_start);
  if (!child)
    return -ENOMEM;
  int pid = child->pid;
  struct thread *t = child->thread;
  struct trap_frame *frame = thread_user_frame(t);
  fpu_fork(t);
  *frame = *thread_user_frame(thread_current());
  t->space = space_create();
  if (!t->space || space_fork(t->space, frame_reg(frame, REG_SP), parent == init) < 0)
    return -ENOMEM;
  frame_reg(frame, REG_A0) = 0;
  for (int i = 0; i < FILES_MAX; i++)
    if (parent->files[i])
      file_dup(parent->files[i], &child->files[i]);
  inode_dup(parent->cwd, &child->cwd);
  process_publish(child, parent);
  return pid;
}

void process_replace_space(struct space *space) {
  // Under the lock, so that process_describe_next finds no space that is being freed.
  irq_t irq = spin_lock(&process_lock);
  struct space *old = space_current();
  thread_set_space(space);
  held_pop(HELD_SPACE, space);
  if (old)
    held_push(HELD_SPACE, old);
  spin_unlock(&process_lock, irq);
  if (old)
    process_free_space(old);
}

// Make init the parent of every process in the list from, and move them to its list to.
static void adopt(struct list *from, struct list *to) {
  while (!list_empty(from)) {
    struct list *node = list_pop_front(from);
    list_entry(node, struct process, sibling)->parent = init;
    list_push_back(to, node);
  }
}

// Become a zombie: from here on the parent may free p at any time, and finds the stack returned to
// its account.
static void become_zombie(struct process *p, int status) {
  irq_t irq = spin_lock(&process_lock);
  if (!list_empty(&p->zombies))
    waitq_wake_all(&init->child_exited);
  adopt(&p->children, &init->children);
  adopt(&p->zombies, &init->zombies);
  kstack_disown(thread_current()->kstack);
  thread_current()->process = NULL;
  p->thread = NULL;
  p->status = status;
  list_remove(&p->sibling);
  list_push_back(&p->parent->zombies, &p->sibling);
  waitq_wake_all(&p->parent->child_exited);
  spin_unlock(&process_lock, irq);
}

void process_exit(int status) {
  struct process *p = process_current();
  assert(p && !hart_held());  // not a zombie
  thread_end_doom(thread_current());
  assert(thread_current()->sleeplocks == 0 && !thread_current()->in_transaction);
  assert(thread_current()->held_count == 0);
  if (p == init)
    panic("init exited with status %d", status);
  give_back_files(p);
  process_replace_space(NULL);
  irq_off();  // kstack_disown
  become_zombie(p, status);
  thread_exit();
}

// Sleep, if may_sleep, until p has a zombie.  Returns 0 with *zombie set, which only p's own thread
// can free.
static int wait_for_zombie(struct process *p, bool may_sleep, struct process **zombie) {
  int err = 0;
  irq_t irq = spin_lock(&process_lock);
  while (list_empty(&p->zombies) && err == 0)
    err = list_empty(&p->children) ? -ECHILD : may_sleep ? waitq_sleep(&p->child_exited) : -EAGAIN;
  if (err == 0)
    *zombie = list_entry(p->zombies.next, struct process, sibling);
  spin_unlock(&process_lock, irq);
  return err;
}

int process_wait(uva_t status, bool may_sleep) {
  struct process *zombie = NULL;
  int err = wait_for_zombie(process_current(), may_sleep, &zombie);
  if (err < 0)
    return err;
  if (status != 0 && copy_to_user(status, &zombie->status, sizeof(int)) < 0)
    return -EFAULT;
  int pid = zombie->pid;
  held_push(HELD_PROCESS, zombie);
  process_discard(zombie);
  return pid;
}

int process_kill(int pid) {
  irq_t irq = spin_lock(&process_lock);
  struct process *p = pid_find(pid);
  bool found = p && p != init;  // without init the kernel panics
  if (found && p->thread)
    thread_kill(p->thread);
  spin_unlock(&process_lock, irq);
  return found ? 0 : -ESRCH;
}
