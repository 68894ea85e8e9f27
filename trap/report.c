// SPDX-License-Identifier: MIT
//
// The report of a kernel fault.
//
// One sentence, the stack drawn, the backtrace, the registers, what to try; then the machine line,
// whose fields and order docs/traps.md fixes.
#include "trap/report.h"

#include "kern/lib/cause.h"
#include "kern/lib/machine.h"
#include "kern/lib/print.h"
#include "kern/lib/symbols.h"
#include "kern/sched/thread.h"
#include "trap/backtrace.h"
#include "vm/layout.h"

// --- one sentence --------------------------------------------------------------------------------

static bool on_interrupt_stack(const struct fault *f) {
  return f->stack.hi == f->hart->interrupt_hi;
}

static const char *stack_name(const struct fault *f) {
  return on_interrupt_stack(f) ? "interrupt stack" : "kernel stack";
}

static void print_who(const struct fault *f) {
  if (on_interrupt_stack(f))
    kprintf("an interrupt handler in ");
  if (f->pid)
    kprintf("pid %d (%s) ", f->pid, f->name);
  else
    kprintf("kernel thread %s ", f->name);
}

static void print_where(const struct fault *f) {
  struct symbol s;
  if (symbol_find(f->frame->sepc, &s))
    kprintf(" in %s()", s.name);
  else if (symbol_find(frame_reg(f->frame, REG_RA), &s))
    kprintf(" perhaps from %s()", s.name);
  else
    kprintf(" at pc 0x%lx", f->frame->sepc);
}

static void print_owner(const struct fault *f) {
  if (f->other.pid > 0)
    kprintf("pid %d (%s)", f->other.pid, f->other.name);
  else
    kprintf("%s", f->other.pid == 0 ? f->other.name : "nobody");
}

static void print_address_fault(const struct fault *f) {
  static const char *const what[FAULT_CLASSES] = {
      [FAULT_NULL] = "a null pointer",
      [FAULT_USER_ACCESS] = "a user address, but not through the user copy",
      [FAULT_EXEC_NX] = "which holds data",
      [FAULT_WRITE_RODATA] = "which is read-only",
      [FAULT_UNMAPPED] = "where nothing is mapped",
  };
  uint64 scause = f->frame->scause;
  kprintf("%s ", scause == CAUSE_FETCH_PAGE   ? "jumped to"
                 : scause == CAUSE_STORE_PAGE ? "wrote to"
                                              : "read from");
  if (what[f->class]) {
    kprintf("0x%lx, %s,", f->frame->stval, what[f->class]);
  } else if (f->class == FAULT_GUARD_BELOW) {
    kprintf("the guard of its own %s, %lu bytes below it", stack_name(f), f->past);
  } else if (f->class == FAULT_GUARD_ABOVE) {
    kprintf("the guard of its own %s, byte %lu above it", stack_name(f), f->past);
  } else if (f->class == FAULT_GUARD_OTHER) {
    kprintf("the guard of another kernel stack, that of ");
    print_owner(f);
  } else {
    kprintf("a kernel stack that nobody owns (the last owner was ");
    print_owner(f);
    kprintf(")");
  }
}

static void print_sentence(const struct fault *f) {
  print_who(f);
  switch (f->class) {
  case FAULT_OVERFLOW:
    if (f->sp < f->stack.lo)
      kprintf("ran %lu bytes off the end of its %s", f->past, stack_name(f));
    else
      kprintf("has so little %s left that a trap frame lacks %lu bytes", stack_name(f), f->past);
    break;
  case FAULT_UNDERFLOW:
    kprintf("has its stack pointer %lu bytes above the top of its %s", f->past, stack_name(f));
    break;
  case FAULT_WILD_SP:
    kprintf("has a stack pointer that is %s its %s (0x%lx",
            f->sp - f->stack.lo < KSTACK_SIZE ? "misaligned, on" : "not on", stack_name(f), f->sp);
    if (f->other.in_window && !f->other.in_guard && f->other.live && f->other.lo != f->stack.lo) {
      kprintf(", on the stack of ");
      print_owner(f);
    }
    kprintf(")");
    break;
  case FAULT_GROWTH:
    kprintf("needs more %s, but %s,", stack_name(f),
            *f->denied == 'm' ? "no page is spare" : "its account is at the limit");
    break;
  case FAULT_EXCEPTION:
    kprintf("took an exception: %s,", exception_name(f->frame->scause));
    break;
  default:
    print_address_fault(f);
  }
  print_where(f);
  kprintf(".\n");
}

// --- the stack drawn -----------------------------------------------------------------------------

static void print_border(uint64 address, const char *name) {
  kprintf("  %p  +----------------------+%s\n", (void *)address, name);
}

static void print_box(const struct fault *f, const char *text, uint64 from, uint64 bytes) {
  kprintf("                      | %-12s %5lu B |", text, bytes);
  if (f->sp - from < bytes)
    kprintf("  <- sp      0x%lx", f->sp);
  if (f->class >= FAULT_GUARD_BELOW && f->frame->stval - from < bytes)
    kprintf("  <- address 0x%lx", f->frame->stval);
  kprintf("\n");
}

static void print_stack(const struct fault *f) {
  uint64 lo = f->stack.lo, hi = f->stack.hi;
  uint64 end = f->sp >= lo && f->sp <= hi ? f->sp : lo;
  // Less than a guard's where a stack begins lower (kern/provoke/room.c) or has its reserve.
  uint64 above = ~hi % KSTACK_SIZE + 1, below = (lo - 1) % KSTACK_SIZE + 1;
  const char *guard = lo < KSTACK_BASE ? "no guard" : "guard";
  kprintf("\nIts %s, on hart %u (not to scale):\n", stack_name(f), f->hart->index);
  print_border(hi + above, "");
  print_box(f, above < KSTACK_GUARD ? "not in use" : guard, hi, above);
  print_border(hi, "  hi");
  print_box(f, "in use", end, hi - end);
  if (end > lo)
    print_box(f, "free", lo, end - lo);
  print_border(lo, "  lo");
  print_box(f, guard, lo - below, below);
  print_border(lo - below, "");
}

// --- registers -----------------------------------------------------------------------------------

static void print_registers(const struct fault *f) {
  static const char names[32][5] = {"pc", "ra", "sp",  "gp",  "tp", "t0", "t1", "t2",
                                    "s0", "s1", "a0",  "a1",  "a2", "a3", "a4", "a5",
                                    "a6", "a7", "s2",  "s3",  "s4", "s5", "s6", "s7",
                                    "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
  const uint64 *words = &f->frame->sepc;
  kprintf("\nRegisters as at the fault:\n");
  for (uint32 i = 0; i < 32; i++)
    kprintf("  %-3s 0x%016lx%s", names[i], words[i], i % 3 == 2 || i == 31 ? "\n" : "");
  kprintf("  scause 0x%lx  stval 0x%lx  sstatus 0x%lx\n", f->frame->scause, f->frame->stval,
          f->frame->sstatus);
}

// --- what to try ---------------------------------------------------------------------------------

static void print_advice(const struct fault *f) {
  static const char *const advice[FAULT_CLASSES] = {
      [FAULT_OVERFLOW] = "Look for recursion (a count xN above) or a large local array.",
      [FAULT_UNDERFLOW] = "Look for assembly that pops more than it pushed.",
      [FAULT_WILD_SP] = "Look for assembly that sets sp, or a saved sp that was overwritten.",
      [FAULT_GROWTH] = "Look for what takes the memory, raise the limit, or use KSTACK_GROW=n.",
      [FAULT_EXCEPTION] = "Look at the instruction at pc: in GDB, x/4i and the pc.",
      [FAULT_GUARD_BELOW] = "sp is good: this is a stray pointer or an index below an array.",
      [FAULT_GUARD_ABOVE] = "sp is good: this is a stray pointer or an index past an array's end.",
      [FAULT_STALE_STACK] = "A pointer to a local variable outlived its thread.",
      [FAULT_GUARD_OTHER] = "sp is good: a stray pointer, far from this thread's own stack.",
      [FAULT_NULL] = "A pointer was not set, or a failure (NULL) was not checked.",
      [FAULT_USER_ACCESS] = "User memory is reached by copy_from_user and copy_to_user only.",
      [FAULT_EXEC_NX] = "A function pointer or a saved return address was overwritten.",
      [FAULT_WRITE_RODATA] = "Text and constants are read-only: a stray pointer, or a cast.",
      [FAULT_UNMAPPED] = "A stray or freed pointer: see the registers for where it came from.",
  };
  kprintf("What to try: %s\n", advice[f->class]);
  if (f->why)
    kprintf("The kernel cannot go on: %s.\n", f->why);
  else if (f->reserve && f->nobody)
    kprintf("It goes on, once, in the reserve below its stack: %s.\n", f->reserve);
  else if (f->reserve)
    kprintf("It goes on in %s, and dies when it holds nothing: %s.\n",
            f->denied ? "the hart's spare pages" : "the reserve below its stack", f->reserve);
  else
    kprintf("The kernel ended the process, and goes on.\n");
}

// --- one line for machines -----------------------------------------------------------------------

static bool has_owner(const struct fault *f) {
  return (f->class == FAULT_GUARD_OTHER || f->class == FAULT_STALE_STACK ||
          f->class == FAULT_WILD_SP || f->class == FAULT_UNMAPPED) &&
         f->other.in_window && f->other.pid >= 0 && f->other.lo != f->stack.lo;
}

static void print_machine_line(const struct fault *f) {
  char run[64];
  const struct trap_frame *frame = f->frame;
  kprintf("\nkstack: class=%s pid=%d name=", fault_class_name(f->class), f->pid);
  print_encoded(f->name);
  kprintf(" hart=%u scause=0x%lx sepc=0x%lx stval=0x%lx sp=0x%lx lo=0x%lx hi=0x%lx past=%lu",
          f->hart->index, frame->scause, frame->sepc, frame->stval, f->sp, f->stack.lo, f->stack.hi,
          f->past);
  kprintf(" verdict=%s owner=", f->why ? "panic" : f->nobody ? "resumed" : "killed");
  if (has_owner(f))
    kprintf("%d", f->other.pid);
  else
    kprintf("-");
  kprintf(" why=%s run=", f->why ? f->why : "-");
  print_encoded(bootarg_string("run", run, sizeof(run)) ? run : "-");
  kprintf(" reserve=%s%s%s\n", f->reserve ? f->reserve : "-", f->denied ? " grow=" : "",
          f->denied ? f->denied : "");
}

void report_print(const struct fault *f) {
  kprintf("\n");
  print_sentence(f);
  print_stack(f);
  kprintf("\nBacktrace, innermost first:\n");
  backtrace_print(f->frame, f->stack);
  print_registers(f);
  kprintf("\n");
  print_sentence(f);  // the first one may have left the screen
  print_advice(f);
  print_machine_line(f);
}
