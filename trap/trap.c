// SPDX-License-Identifier: MIT
//
// Traps, once entry.S has saved them.
//
// I1. Everything here runs with interrupts off, but for system calls, faults of user mode and of
//     the user copy.
// I2. What a frame restores is checked on the way out: SPP and sepc.  An interrupt may find any
//     sepc, since it can come between a wild jump and the fault of its target; so it must not
//     change it, and a fault must go on in the text.
// I3. Interrupts of the kernel are handled on the hart's interrupt stack; those of user mode on the
//     thread's, which is empty but for the frame.  No thread switches on an interrupt stack.
// I4. A kernel fault that nothing here resolves leaves this stack at once, for the emergency stack.
#include "trap/trap.h"
#include "kern/dev/irq.h"
#include "kern/dev/timer.h"
#include "kern/lib/atomic.h"
#include "kern/lib/errno.h"
#include "kern/lib/hart.h"
#include "kern/lib/print.h"
#include "kern/proc/process.h"
#include "kern/sched/fpu.h"
#include "kern/sched/ready.h"
#include "kern/sched/switch.h"
#include "trap/fault.h"
#include "trap/syscall.h"
#include "vm/kasan_shadow.h"
#include "vm/pagetable.h"
#include "vm/space.h"
#include "vm/tlb.h"
#include "vm/usercopy.h"

extern char _start[], text_end[];

enum { ECALL_SIZE = 4 };

// Stack that a thread must have left to be preempted in the kernel: that takes up to 700 bytes,
// with a dead thread to free.
#define PREEMPT_ROOM (KASAN ? 4096 : 1024)

bool is_kernel_text(uint64 pc) {
  return pc >= (uint64)_start && pc < (uint64)text_end;
}

static void interrupt(uint64 scause) {
  struct hart *h = this_hart();
  h->irq_depth++;
  switch (scause & ~SCAUSE_INTERRUPT) {
  case IRQ_TIMER:
    timer_interrupt();
    break;
  case IRQ_EXTERNAL:
    irq_external();
    break;
  case IRQ_SOFTWARE:
    irq_software();
    break;
  default:
    panic("interrupt of unknown cause 0x%lx", scause);
  }
  h->irq_depth--;
}

static enum access fault_access(uint64 scause) {
  if (scause == CAUSE_STORE_PAGE)
    return ACCESS_WRITE;
  return scause == CAUSE_FETCH_PAGE ? ACCESS_EXEC : ACCESS_READ;
}

// A hart may have cached that an address is invalid before it was mapped (vm/tlb.h, I1).  If the
// page table permits the access now, fence and let it be tried again; not so if there is no mapping
// for which this hart has not fenced, so it does not go on for ever.
static bool refresh_stale_translation(const struct trap_frame *frame) {
  static const pte_t needed[] = {
      [ACCESS_READ] = PTE_R, [ACCESS_WRITE] = PTE_W, [ACCESS_EXEC] = PTE_X};
  if (!is_page_fault(frame->scause) || frame->stval < USER_END)
    return false;
  int level;
  pte_t pte = pagetable_leaf(kernel_pagetable, frame->stval, &level);
  return (pte & needed[fault_access(frame->scause)]) && tlb_refresh();
}

static bool probe_fault(struct trap_frame *frame) {
  if (frame->sepc != (uint64)probe_load)
    return false;
  frame->sepc = (uint64)probe_failed;
  return true;
}

void trap_kernel_exception(struct trap_frame *frame) {
  if (!probe_fault(frame) && !usercopy_fault(frame) && !refresh_stale_translation(frame) &&
      !kasan_fault(frame)) {
    if (this_hart()->stack_hi == this_hart()->emergency_hi)
      last_resort_frame(frame);
    fault_on_emergency_stack(frame);
  }
  assert(frame->sstatus & SSTATUS_SPP);
  assert(is_kernel_text(frame->sepc));
}

// Check a frame through which an interrupt returns to the kernel (I2).
static void check_interrupted(const struct trap_frame *frame, uint64 sepc) {
  assert(frame->sstatus & SSTATUS_SPP);
  assert(frame->sepc == sepc);
}

// Return whether the thread may be preempted where it was interrupted.  If it is at the end of its
// stack it goes on instead, and dies of that or comes back: an overflow here could not be survived.
static bool is_preemptible(const struct trap_frame *frame) {
  return (frame->sstatus & SSTATUS_SPIE) &&
         (uint64)frame - thread_current()->stack_lo >= PREEMPT_ROOM;
}

bool trap_kernel_interrupt(struct trap_frame *frame) {
  uint64 sepc = frame->sepc;
  interrupt(frame->scause);
  check_interrupted(frame, sepc);
  return hart_must_yield() && is_preemptible(frame);
}

void trap_preempt(struct trap_frame *frame) {
  uint64 sepc = frame->sepc;
  thread_yield();
  check_interrupted(frame, sepc);
}

// A fault in user mode: resolved, or the end of the process.
static void user_fault(struct trap_frame *frame) {
  struct thread *t = thread_current();
  int error = -1;
  if (is_page_fault(frame->scause))
    error = space_fault(t->space, frame->stval, fault_access(frame->scause));
  else if (frame->scause == CAUSE_ILLEGAL && !(frame->sstatus & SSTATUS_FS))
    error = fpu_first_use(frame) ? 0 : -1;
  if (!error)
    return;
  kprintf("pid %d (%s) was killed: %s.\n  scause %lu, pc 0x%lx, address 0x%lx\n", t->pid, t->name,
          error == -ENOMEM ? "no memory for the page it uses" : exception_name(frame->scause),
          frame->scause, frame->sepc, frame->stval);
  thread_kill(t);
}

// A program may have jumped anywhere, and been interrupted before that faulted: then it faults as
// soon as it is back in user mode, which SPP sees to.
static void check_user_frame(const struct trap_frame *frame) {
  assert(!(frame->sstatus & SSTATUS_SPP));
}

// What came from user mode and is no system call.  Kept apart: the path of those stays short.
static __attribute__((noinline)) void user_interrupt_or_fault(struct trap_frame *frame) {
  if (frame->sstatus & SSTATUS_SPP)
    panic("trap in the kernel at 0x%lx (scause 0x%lx, stval 0x%lx) while sscratch says user mode",
          frame->sepc, frame->scause, frame->stval);
  if (frame->scause & SCAUSE_INTERRUPT) {
    interrupt(frame->scause);
    return;
  }
  irq_on();
  user_fault(frame);
  irq_off();
}

void trap_user(struct trap_frame *frame) {
  if (__builtin_expect(frame->scause == CAUSE_USER_ECALL, 1)) {
    frame->sepc += ECALL_SIZE;
    irq_on();
    syscall(frame);
    irq_off();
  } else {
    user_interrupt_or_fault(frame);
  }
  if (__builtin_expect(hart_must_yield(), 0))
    thread_yield();
  if (__builtin_expect(load_relaxed(&thread_current()->killed), 0)) {
    irq_on();
    process_exit(-1);
  }
  check_user_frame(frame);
}

void user_return(void) {
  irq_off();
  struct trap_frame *frame = thread_user_frame(thread_current());
  check_user_frame(frame);
  trap_user_return(frame);
}
