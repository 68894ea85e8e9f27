// SPDX-License-Identifier: MIT
//
// Traps, once entry.S has saved them.
//
//   scause             | from user mode             | from the kernel
//   -------------------+----------------------------+----------------------------
//   interrupt          | trap_user()                | trap_kernel_interrupt()
//      1 software      |   irq_software()           |   irq_software()
//      5 timer         |   timer_interrupt()        |   timer_interrupt()
//      9 external      |   irq_external()           |   irq_external()
//   exception          | trap_user()                | trap_kernel_exception()
//      8 ecall         |   syscall() instead        |
//      2 illegal       |   fpu_first_use(), or kill |   kernel_fault()
//      12, 13, 15 page |   space_fault(), or kill   |   probe_read(), usercopy_fault(),
//                      |                            |   refresh_stale_translation(),
//                      |                            |   kasan_fault(), or kernel_fault()
//      other           |   kill                     |   kernel_fault()
//
// I1. Everything here runs with interrupts off, except system calls, faults of user mode and faults
//     of the user copy.
// I2. sepc and SPP are checked on every return.  To the kernel: after an interrupt sepc must be
//     unchanged, even if wild (a bad jump may be interrupted before it faults); after an exception
//     it must be in the text.  To user mode any sepc is good, since with SPP clear it faults there.
// I3. Interrupts of the kernel are handled on the hart's interrupt stack; those of user mode on the
//     thread's, which is empty except for the frame.  No thread switches on an interrupt stack.
// I4. A kernel fault that nothing here resolves leaves this stack at once, for the emergency stack.
#include "trap/trap.h"

#include "kern/dev/irq.h"
#include "kern/dev/timer.h"
#include "kern/lib/cause.h"
#include "kern/lib/errno.h"
#include "kern/lib/hang.h"
#include "kern/lib/print.h"
#include "kern/sched/fpu.h"
#include "kern/sched/ready.h"
#include "kern/sched/switch.h"
#include "trap/fault.h"
#include "vm/kasan_shadow.h"
#include "vm/pagetable.h"
#include "vm/space.h"
#include "vm/tlb.h"
#include "vm/usercopy.h"

extern char _start[], text_end[];

// Bytes of stack that a thread must have left to be preempted in the kernel.  The switch takes up
// to 850 of them, with a dead thread to free.
#define PREEMPT_ROOM (KASAN ? 4096 : 1024)

bool is_kernel_text(uint64 pc) {
  return pc >= (uint64)_start && pc < (uint64)text_end;
}

static void interrupt(const struct trap_frame *frame) {
  struct hart *h = this_hart();
  lockdep_restores(SSTATUS_SIE);
  h->irq_depth++;
  switch (frame->scause & ~SCAUSE_INTERRUPT) {
  case IRQ_TIMER:
    timer_interrupt();
    break;
  case IRQ_EXTERNAL:
    irq_external();
    break;
  case IRQ_SOFTWARE:
    hang_answer(frame);
    irq_software();
    break;
  default:
    panic("interrupt of unknown cause 0x%lx", frame->scause);
  }
  kstack_refill();
  h->irq_depth--;
}

static enum access fault_access(uint64 scause) {
  if (scause == CAUSE_STORE_PAGE)
    return ACCESS_WRITE;
  return scause == CAUSE_FETCH_PAGE ? ACCESS_EXEC : ACCESS_READ;
}

// This hart may still cache the address as unmapped (vm/tlb.h, I1).  If the table now allows the
// access and there are mappings newer than our last fence, fence and retry: at most once per
// change.  Returns whether to retry.
static bool refresh_stale_translation(const struct trap_frame *frame) {
  if (!is_page_fault(frame->scause) || frame->stval < USER_END)
    return false;
  return (pagetable_leaf(frame->stval) & fault_access(frame->scause)) && tlb_refresh();
}

void trap_kernel_exception(struct trap_frame *frame) {
  if (frame->sepc == (uint64)probe_load) {
    frame->sepc = (uint64)probe_failed;
  } else if (!usercopy_fault(frame) && !refresh_stale_translation(frame) && !kasan_fault(frame)) {
    if (this_hart()->stack_hi == this_hart()->emergency_hi)
      last_resort_frame(frame);
    fault_on_emergency_stack(frame);
  }
  assert(frame->sstatus & SSTATUS_SPP);  // I2
  assert(is_kernel_text(frame->sepc));
}

// Check a frame through which an interrupt returns to the kernel (I2).
static void check_interrupted(const struct trap_frame *frame, uint64 sepc) {
  assert(frame->sstatus & SSTATUS_SPP);
  assert(frame->sepc == sepc);
}

bool trap_kernel_interrupt(struct trap_frame *frame) {
  uint64 sepc = frame->sepc;
  interrupt(frame);
  check_interrupted(frame, sepc);
  if (__builtin_expect(thread_current()->doomed, 0))
    end_doomed(frame);
  // A thread at the end of its stack goes on instead, and dies of that or comes back: an overflow
  // in trap_preempt, with interrupts off, would be a panic.
  int64 room = (int64)((uint64)frame - thread_current()->kstack->lo);  // below 0 in the reserve
  return hart_must_yield() && (frame->sstatus & SSTATUS_SPIE) && room >= PREEMPT_ROOM;
}

void trap_preempt(struct trap_frame *frame) {
  uint64 sepc = frame->sepc;
  thread_yield();
  check_interrupted(frame, sepc);
}

// A fault in user mode: resolve it, or kill the process.
static void user_fault(struct trap_frame *frame) {
  struct thread *t = thread_current();
  int err = -1;
  if (is_page_fault(frame->scause))
    err = space_fault(t->space, frame->stval, fault_access(frame->scause));
  else if (frame->scause == CAUSE_ILLEGAL)
    err = fpu_first_use(frame) ? 0 : -1;
  if (!err)
    return;
  kprintf("The kernel killed pid %d (%s): %s.\n  scause %lu, pc 0x%lx, address 0x%lx\n", t->pid,
          t->name,
          err == -ENOMEM ? "no memory for the page it uses" : exception_name(frame->scause),
          frame->scause, frame->sepc, frame->stval);
  thread_kill(t);
}

void trap_user(struct trap_frame *frame) {
  if (frame->sstatus & SSTATUS_SPP)
    panic("trap in the kernel at 0x%lx (scause 0x%lx, stval 0x%lx) while sscratch says user mode",
          frame->sepc, frame->scause, frame->stval);
  if (frame->scause & SCAUSE_INTERRUPT) {
    interrupt(frame);
  } else {
    irq_on();
    user_fault(frame);
    irq_off();
  }
  // A system call does not look.  A tick in the kernel preempts there; where too little stack is
  // left for that, the next one does.
  if (hart_must_yield())
    thread_yield();
  check_user_return(frame);
}

void user_return(void) {
  irq_off();
  assert(thread_current()->held_count == 0);
  struct trap_frame *frame = thread_user_frame(thread_current());
  check_user_return(frame);
  trap_user_return(frame);
}
