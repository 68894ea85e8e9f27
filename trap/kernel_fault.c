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
#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "kern/lib/print.h"
#include "kern/proc/process.h"
#include "kern/sched/thread.h"
#include "trap/report.h"
#include "trap/trap.h"

// Return the word for what forces a panic, or null when killing the victim is enough.
static const char *why_panic(const struct hart *h, const struct thread *t,
                             const struct trap_frame *frame, struct stack_bounds stack) {
  if (bootarg_flag("panic_on_fault"))
    return "option";
  if (h->irq_depth)
    return "interrupt";
  if (!t || !t->process)
    return t && t->kstack && t->stack_lo == stack.lo && t->start ? "kernel-thread" : "idle";
  if (h->held)
    return "spinlock";
  if (!(frame->sstatus & SSTATUS_SPIE))
    return "interrupts-off";
  if (t->in_transaction)
    return "transaction";
  if (t->sleeplocks + t->doomed)
    return "sleeplock";
  return NULL;
}

// Return whether what has overflowed may go on in the reserve: it left off in that part of the
// guard, and does so for the first time.
static bool may_go_on(const struct fault *f) {
  const struct thread *t = f->hart->current;
  const struct kstack *stack = kstack_at(f->stack.lo);
  uint64 room = f->sp - (f->stack.lo - KSTACK_RESERVE);  // not below 0: it has overflowed
  bool known = f->stack.lo == f->hart->interrupt_lo || (t && f->stack.lo == t->stack_lo);
  return f->class == FAULT_OVERFLOW && !bootarg_flag("panic_on_fault") && known && stack &&
         stack->lo == f->stack.lo && room >= sizeof(struct trap_frame) && room <= KSTACK_GUARD &&
         f->sp % 16 == 0 && kstack_has_reserve(stack);
}

static void collect(struct fault *f, const struct trap_frame *frame) {
  struct hart *h = this_hart();
  struct thread *t = h->current;
  uint64 stval = frame->stval, sp = frame_reg(frame, REG_SP);
  int level;
  *f = (struct fault){
      .frame = frame,
      .hart = h,
      .name = t ? t->name : "boot",
      .pid = t ? t->pid : 0,
      .stack = {h->victim_lo, h->victim_hi},
      .sp = sp,
  };
  struct kstack_slot slot;
  kstack_describe(stval, &slot);
  pte_t pte = stval < USER_END ? 0 : pagetable_leaf(kernel_pagetable, stval, &level);
  f->class = classify(frame->scause, stval, sp, f->stack, slot, pte);
  f->past = fault_past(f->class, stval, sp, f->stack);
  // If the stack above a guard is not live, the guard is that of the stack below.
  uint64 va = f->class == FAULT_WILD_SP ? sp : stval;
  kstack_describe(va, &f->other);
  if (f->other.in_guard && !f->other.live)
    kstack_describe(va - KSTACK_SLOT, &f->other);
  f->why = why_panic(h, t, frame, f->stack);
  f->nobody = h->irq_depth || !t || !t->process;
  if (f->why && may_go_on(f)) {
    f->reserve = f->why;
    f->why = NULL;
  }
}

// Enlarge the stack (I4), and have the process die later, if there is one to die.
static void go_on(const struct fault *f) {
  struct hart *h = this_hart();
  struct thread *t = h->current;
  kstack_use_reserve(kstack_at(f->stack.lo));
  h->victim_lo -= KSTACK_RESERVE;
  if (f->stack.lo == h->interrupt_lo)
    h->interrupt_lo = h->victim_lo;
  else
    t->stack_lo = h->victim_lo;
  if (f->nobody)
    return;
  t->doomed = t->moved = true;
  t->sleeplocks--;
  store_relaxed(&t->killed, true);
  thread_ask_end();
}

// Runs on the victim's own, emptied stack: exit.
static void end_victim(void) {
  irq_on();
  process_exit(-1);
}

void end_doomed(const struct trap_frame *frame) {
  struct hart *h = this_hart();
  struct thread *t = h->current;
  kstack_refill();
  if (why_panic(h, t, frame, (struct stack_bounds){t->stack_lo, t->stack_hi}))
    return;
  t->doomed = false;
  t->sleeplocks = 0;
  t->stack_lo = h->victim_lo = t->kstack->lo;
  h->victim_hi = t->stack_hi = t->kstack->lo + KSTACK_SIZE;
  kstack_close_reserve(t->kstack);
  leave_emergency_stack(end_victim);
}

void kernel_fault(struct trap_frame *frame) {
  struct fault f;
  assert(this_hart()->stack_hi == this_hart()->emergency_hi);
  fetch_add(&reports_pending, 1);
  collect(&f, frame);
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
