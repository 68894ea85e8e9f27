// SPDX-License-Identifier: MIT
//
// Kernel faults: collect the facts, classify, report, and kill the process or panic.
//
// I1. All of this runs on the hart's emergency stack, interrupts off, and takes no lock but the
//     UART's; end_victim alone runs on the victim's stack.
// I2. The victim's stack is untouched until the report is out.
// I3. The ways off the emergency stack are into process_exit and, after an overflow, back to where
//     it was.  Nothing sleeps on it.
// I4. What overflows where it cannot be killed goes on in the reserve (docs/survival.md).  Then its
//     thread is doomed: a software interrupt is pending whenever it may have let go of the last of
//     what it held, and is taken with interrupts on; end_doomed looks whether it holds something.
// I5. With KSTACK_GROW=y most that comes here is a stack that is to grow.  It does, from the hart's
//     spare pages, and a software interrupt fills these up as soon as that may allocate.
// I6. A victim's record says what its call holds (kern/sched/held.h), but not what a function that
//     allocates has taken and not returned yet, or what an UNDIVIDED one moves.  So an overflow in
//     one of those goes on, too, and no doomed thread is ended in one.
#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "kern/lib/print.h"
#include "kern/proc/give_back.h"
#include "kern/proc/process.h"
#include "kern/sched/runq.h"
#include "kern/sched/thread.h"
#include "trap/backtrace.h"
#include "trap/report.h"
#include "trap/trap.h"
#include "vm/image.h"

// Return down to where the stack must be mapped for a trap of a thread with that sp.
static vaddr_t end_for(uint64 sp) {
  return ROUND_DOWN(sp - sizeof(struct trap_frame), PAGE_SIZE);
}

// Return down to where it goes on (I4): with the reserve, or the page that it was denied.
static vaddr_t new_end(const struct fault *f) {
  return f->denied ? end_for(f->sp) : f->stack.lo - KSTACK_RESERVE;
}

// Return the word for what forces a panic, or null when killing the victim is enough.
static const char *why_panic(const struct hart *h, const struct thread *t,
                             const struct trap_frame *frame, struct stack_bounds stack) {
  if (bootarg_flag("panic_on_fault"))
    return "option";
  if (h->irq_depth)
    return "interrupt";
  if (!t || !t->process)
    return t && t->kstack && t->stack_hi == stack.hi && t->start ? "kernel-thread" : "idle";
  if (h->held)
    return "spinlock";
  if (!(frame->sstatus & SSTATUS_SPIE))
    return "interrupts-off";
  return NULL;
}

// Return whether the interrupted thread is in a function that allocates (I6).
static bool allocates(const struct trap_frame *frame, struct stack_bounds stack) {
  struct unwind u;
  unwind_begin(&u, frame, stack);
  do {
    if (u.pc >= (uint64)vm_text && u.pc < (uint64)vm_text_end)
      return true;
  } while (unwind_next(&u));
  return false;
}

// Return the word for what forces a panic, or puts off the end of the process; null for neither.
static const char *why_later(const struct hart *h, const struct thread *t,
                             const struct trap_frame *frame, struct stack_bounds stack) {
  const char *why = why_panic(h, t, frame, stack);
  if (why)
    return why;
  if (t->in_transaction)
    return "transaction";
  if (thread_sleeplocks(t))
    return "sleeplock";
  return allocates(frame, stack) ? "memory" : NULL;
}

// Return whether what has overflowed may go on in the reserve: it left off in that part of the
// guard, and does so for the first time.
static bool may_go_on(const struct fault *f) {
  const struct thread *t = f->hart->current;
  const struct kstack *stack = kstack_at(f->stack.lo);
  uint64 room = f->sp - (f->stack.lo - KSTACK_RESERVE);  // not below 0: it has overflowed
  bool known = f->stack.hi == f->hart->interrupt_hi || (t && f->stack.hi == t->stack_hi);
  bool within = room >= sizeof(struct trap_frame) && room <= KSTACK_GUARD && f->sp % 16 == 0;
  return (f->denied || (f->class == FAULT_OVERFLOW && within)) && !bootarg_flag("panic_on_fault") &&
         known && stack && stack->lo == f->stack.lo && kstack_can_extend(stack, new_end(f));
}

// Let the thread's stack grow (I5), if that is all that is wrong.  The last pages are for a thread
// that cannot be killed.  Else denied gets why it does not grow, or null.
static bool grow(const struct trap_frame *frame, const char **denied) {
  struct hart *h = this_hart();
  struct thread *t = h->current;
  uint64 sp = frame_reg(frame, REG_SP);
  vaddr_t to = end_for(sp);
  if (!t || h->victim_lo != t->stack_lo || sp % 16 || to < t->kstack->lo || to >= t->stack_lo)
    return false;
  *denied = kstack_grow(t->kstack, to, KSTACK_RESERVE / PAGE_SIZE);
  if (*denied && why_later(h, t, frame, (struct stack_bounds){t->stack_lo, t->stack_hi}))
    *denied = kstack_grow(t->kstack, to, 0);
  if (*denied)
    return false;
  h->victim_lo = t->stack_lo = to;
  csr_set(sip, SIE_SSIE);
  return true;
}

static void collect(struct fault *f, const struct trap_frame *frame, const char *denied) {
  struct hart *h = this_hart();
  struct thread *t = h->current;
  uint64 stval = frame->stval, sp = frame_reg(frame, REG_SP);
  *f = (struct fault){
      .frame = frame,
      .hart = h,
      .name = t ? t->name : "boot",
      .pid = t ? t->pid : 0,
      .stack = {h->victim_lo, h->victim_hi},
      .sp = sp,
      .denied = denied,
  };
  const struct kstack *whole = kstack_at(f->stack.lo);
  if (KSTACK_GROW && whole && f->stack.lo > whole->lo)
    f->stack.lo = whole->lo;
  struct kstack_slot slot = kstack_describe(stval);
  pte_t pte = pagetable_leaf(stval);
  f->class = denied ? FAULT_GROWTH : classify(frame->scause, stval, sp, f->stack, slot, pte);
  f->past = fault_past(f->class, stval, sp, f->stack);
  // If the stack above a guard is not live, the guard is that of the stack below.
  uint64 va = f->class == FAULT_WILD_SP ? sp : stval;
  f->other = kstack_describe(va);
  if (f->other.in_guard && !f->other.live)
    f->other = kstack_describe(va - KSTACK_SLOT);
  f->nobody = h->irq_depth || !t || !t->process;
  if (may_go_on(f))
    f->reserve = why_later(h, t, frame, f->stack);
  else
    f->why = why_panic(h, t, frame, f->stack);
}

// Enlarge the stack (I4), and have the process die later, if there is one to die.
static void go_on(const struct fault *f) {
  struct hart *h = this_hart();
  struct thread *t = h->current;
  struct kstack *stack = kstack_at(f->stack.lo);
  kstack_distrust(stack);
  h->victim_lo = new_end(f);
  kstack_extend(stack, h->victim_lo);
  if (f->stack.hi == h->interrupt_hi)
    h->interrupt_lo = h->victim_lo;
  else
    t->stack_lo = h->victim_lo;
  if (f->nobody)
    return;
  t->sleeplocks -= !t->doomed;  // it is already, if it was denied a page before
  t->doomed = t->moved = true;
  store_relaxed(&t->killed, true);
  thread_ask_end();
  if (t->state == THREAD_SLEEPING && !t->sleeps_through)  // it has looked at killed already
    h->queue->left = t;
}

// Runs on the victim's own, emptied stack: give back what the call held, and exit.
static void end_victim(void) {
  thread_end_doom(thread_current());
  irq_on();
  give_back_held();
  process_exit(-1);
}

void end_doomed(const struct trap_frame *frame) {
  struct hart *h = this_hart();
  struct thread *t = h->current;
  if (why_later(h, t, frame, (struct stack_bounds){t->stack_lo, t->stack_hi}))
    return;
  t->stack_lo = h->victim_lo = kstack_mapped(t->kstack);
  h->victim_hi = t->stack_hi = t->kstack->lo + KSTACK_SIZE;
  kstack_close_reserve(t->kstack);
  leave_emergency_stack(end_victim);
}

void kernel_fault(struct trap_frame *frame) {
  struct fault f;
  assert(this_hart()->stack_hi == this_hart()->emergency_hi);
  const char *denied = NULL;
  if (KSTACK_GROW && grow(frame, &denied))
    return;
  fetch_add(&reports_pending, 1);
  collect(&f, frame, denied);
  print_begin_report();
  report_print(&f);
  report_rendezvous(frame);
  print_end_report();
  fetch_sub(&reports_pending, 1);
  if (f.why)
    panic("kernel fault of class %s, not survivable: %s", fault_class_name(f.class), f.why);
  if (f.reserve) {
    go_on(&f);
    return;
  }
  struct thread *t = thread_current();
  this_hart()->victim_hi = t->stack_hi = t->kstack->lo + KSTACK_SIZE;  // all of it, to exit
  kstack_distrust(t->kstack);
  leave_emergency_stack(end_victim);
}
