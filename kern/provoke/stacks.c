// SPDX-License-Identifier: MIT
//
// Stacks by a pointer: guards, stacks that were freed, and stacks that another hart has not seen.
#include "kern/provoke/tests.h"

#include "kern/dev/timer.h"
#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/print.h"
#include "kern/lib/string.h"
#include "kern/provoke/faults.h"
#include "kern/provoke/words.h"
#include "kern/sched/ready.h"
#include "kern/sched/switch.h"
#include "kern/sched/thread.h"
#include "vm/kstack.h"
#include "vm/page.h"
#include "vm/tlb.h"

#define STEP_TICKS 600   // to wait for another hart, that of a busy host
#define NEW_FRAME  0x5a  // content of a frame that has a new owner
#define NEW_STACK  0xa5  // and of a stack whose slot had another

// Return where the running stack begins, be it a thread's or a hart's: they are aligned.
static uint64 running_stack(void) {
  return ROUND_DOWN((uint64)__builtin_frame_address(0), KSTACK_SIZE);
}

void provoke_guard_leading(char *words[]) {
  word_access(words[0], running_stack() - word_number(words[1], 1));
}

void provoke_guard_trailing(char *words[]) {
  word_access(words[0], running_stack() + KSTACK_SIZE + word_number(words[1], 1) - 1);
}

void provoke_guard_other(char *words[]) {
  struct stack_info other;
  if (!other_stack(&other, word_number(words[0] && words[1] ? words[2] : NULL, 0)))
    return;
  kprintf("provoke: the guard of pid %d (%s)\n", other.pid, other.name);
  word_access(words[0], other.lo - word_number(words[1], 8));
}

void provoke_stale_stack(char *words[]) {
  const struct thread *me = thread_current();
  struct kstack *stack = kstack_alloc(me->pid, me->name, STACK_THREAD, &account_root);
  if (!stack)
    return;
  uint64 address = kstack_mapped(stack) + word_number(words[1], 8);
  provoke_load(address);  // so that this hart has cached the translation
  kstack_free(stack);
  kstack_drain();
  vmalloc_drain();
  word_access(words[0], address);
}

// A stack that a thread on another hart reads while it is mapped, and again when it is freed.
static struct {
  uint64 address;
  uint32 step;  // [a] 1: the thread has run there, 2: freed, 3: it has looked again
  uint32 hart;  // where it was made
  uint64 then;  // what may be read there when it is freed
} remote;

static void remote_reader(void *arg) {
  (void)arg;
  irq_t irq = irq_save();
  if (this_hart()->index != remote.hart) {
    tlb_fence_all();  // it was not mapped for this thread
    provoke_load(remote.address);
    store_release(&remote.step, 1);
    while (load_acquire(&remote.step) != 2)
      panic_poll();
    uint64 byte = provoke_load(remote.address);
    if (byte != remote.then)
      kprintf("FAIL: STALE_REMOTE survived, and read 0x%lx\n", byte);
  }
  store_release(&remote.step, 3);
  irq_restore(irq);
  thread_exit();
}

// Place the thread on another hart and wait for its first step.  Holds: interrupts off, so that
// this hart is busy and takes no thread back.
static void run_elsewhere(struct thread *t) {
  remote.hart = this_hart()->index;
  store_release(&remote.step, 0);
  thread_place(t, &harts[(remote.hart + 1) % hart_count]);
  uint64 end = csr_read(time) + 5 * machine.timebase;
  while (load_acquire(&remote.step) != 1 && csr_read(time) < end)
    panic_poll();
  if (remote.step != 1)
    kprintf("FAIL: no other hart runs it\n");
}

// Allocate pages until the one at pa comes; keep it, and give the others back.
static void reuse_frame(pa_t pa) {
  void **held = NULL, **page;
  while ((page = page_alloc()) && ptr_to_pa(page) != pa) {
    *page = held;
    held = page;
  }
  if (page)
    memset(page, NEW_FRAME, PAGE_SIZE);
  for (void **next; held; held = next) {
    next = *held;
    page_put(held);
  }
}

// Allocate stacks, once round the window, until the one at base comes; keep it.
static void reuse_slot(vaddr_t base) {
  for (uint64 i = 0; i <= kstack_slots(); i++) {
    struct kstack *stack = kstack_alloc(0, "reuse", STACK_THREAD, &account_root);
    if (stack && kstack_mapped(stack) == base) {
      memset((void *)base, NEW_STACK, PAGE_SIZE);
      return;
    }
    if (stack)
      kstack_free(stack);
    kstack_drain();
  }
}

void provoke_stale_remote(char *words[]) {
  struct kstack *stack = kstack_alloc(thread_current()->pid, "remote", STACK_THREAD, &account_root);
  struct thread *t = thread_create("reader", 0, remote_reader, NULL);
  if (!stack || !t)
    return;
  bool slot = word_is(words[0], "slot");
  const pte_t *pte = pagetable_lookup(kernel_pagetable, kstack_mapped(stack));
  pa_t frame = pte ? pte_to_pa(*pte) : ptr_to_pa((void *)stack->lo);
  irq_t irq = irq_save();
  remote.address = kstack_mapped(stack);
  remote.then = slot ? NEW_STACK : ~0UL;
  run_elsewhere(t);
  kstack_free(stack);
  kstack_drain();
  vmalloc_drain();
  if (slot || word_is(words[0], "frame"))
    reuse_frame(frame);
  if (slot)
    reuse_slot(remote.address);
  store_release(&remote.step, 2);
  irq_restore(irq);
  for (uint32 ticks = 0; ticks < STEP_TICKS && load_acquire(&remote.step) != 3; ticks++)
    timer_sleep(1);
}

// Free a stack, and count the stacks that are handed out before one has its slot again.
void provoke_reuse_count(char *words[]) {
  (void)words;
  uint64 base = 0;
  for (uint64 i = 0; i <= kstack_slots(); i++) {
    struct kstack *stack = kstack_alloc(0, "count", STACK_THREAD, &account_root);
    bool again = stack && stack->lo == base;
    if (stack && !base)
      base = stack->lo;
    if (stack)
      kstack_free(stack);
    kstack_drain();
    vmalloc_drain();
    if (again || i == kstack_slots()) {
      provoke_count(i);
      return;
    }
  }
}

static void say_here(void *arg) {
  (void)arg;
  provoke_here();
  store_release(&remote.step, 1);
  thread_exit();
}

// A thread whose stack was mapped just now runs on a hart that has not fenced since.
void provoke_new_remote(char *words[]) {
  (void)words;
  kstack_drain();
  struct thread *t = thread_create("new", 0, say_here, NULL);
  irq_t irq = irq_save();
  if (t)
    run_elsewhere(t);
  irq_restore(irq);
}
