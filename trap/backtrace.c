// SPDX-License-Identifier: MIT
//
// Walking a kernel stack that may be broken.
//
// I1. Each step goes up: a frame's CFA is above the last one and inside the stack, or the walk
//     ends.  Once it may cross from an interrupt stack to the stack of the interrupted thread.
// I2. Memory is read through probe_read alone.
// A1. The kernel is built with frame pointers, without compressed instructions and without
//     shrink-wrapping, so a prologue is: addi sp,sp,-N; stores of ra and s0; addi s0,sp,N.
// A2. There is no alloca, so s0 = sp + N all through the body.
// A3. An epilogue is: loads of ra, then of s0; addi sp,sp,N; ret, without a jump between them.
//
// Only the innermost frame of a context needs its prologue and its epilogue read: it may have
// stopped anywhere in them, and in the prologue is just where a stack overflows.
#include "trap/backtrace.h"

#include "kern/lib/print.h"
#include "kern/lib/symbols.h"
#include "trap/trap.h"
#include "vm/layout.h"

// What of its prologue a function had executed when it stopped.
struct prologue {
  uint64 lowered;  // bytes by which it had lowered sp
  bool saved_ra;
  bool set_fp;
};

enum { PROLOGUE_MAX = 24, EPILOGUE_MAX = 24 };  // instructions looked at

#define INSN_RET                0x8067
#define IS_ADDI(insn, rd, rs)   (((insn)&0xfffff) == ((rs) << 15 | (rd) << 7 | 0x13))
#define IS_SD_TO_SP(insn, rs)   (((insn)&0x1fff07f) == ((rs) << 20 | REG_SP << 15 | 3 << 12 | 0x23))
#define IS_LD_FROM_SP(insn, rd) (((insn)&0xfffff) == (REG_SP << 15 | 3 << 12 | (rd) << 7 | 0x03))
#define IS_JUMP(insn)           (((insn)&0x73) == 0x63)  // or a branch

static bool read_insn(uint64 pc, uint32 *insn) {
  uint64 word;
  if (!is_kernel_text(pc) || !probe_read(pc & ~7UL, &word))
    return false;
  *insn = (uint32)(word >> (pc & 4) * 8);
  return true;
}

static struct prologue read_prologue(uint64 pc) {
  struct prologue p = {0};
  struct symbol s;
  if (!symbol_find(pc, &s))
    return p;
  uint32 insn;
  for (uint64 at = s.start; at < pc && at < s.start + 4 * PROLOGUE_MAX && read_insn(at, &insn);
       at += 4) {
    int64 immediate = (int)insn >> 20;
    if (IS_ADDI(insn, REG_SP, REG_SP) && immediate < 0 && !p.set_fp)
      p.lowered -= (uint64)immediate;
    else if (IS_SD_TO_SP(insn, REG_RA))
      p.saved_ra = true;
    else if (IS_ADDI(insn, REG_S0, REG_SP))
      p.set_fp = true;
  }
  return p;
}

// Return whether the function has loaded its caller's s0 back and is about to return.  raise gets
// the bytes by which it has yet to raise sp.
static bool read_epilogue(uint64 pc, uint64 *raise) {
  uint32 insn;
  *raise = 0;
  for (uint64 at = pc; at < pc + 4 * EPILOGUE_MAX && read_insn(at, &insn); at += 4) {
    if (insn == INSN_RET)
      return true;
    if (IS_JUMP(insn) || IS_LD_FROM_SP(insn, REG_S0))
      return false;
    if (IS_ADDI(insn, REG_SP, REG_SP))
      *raise += (uint64)((int)insn >> 20);
  }
  return false;
}

// Read the word at address, if that is in the stack.
static bool read_stack(const struct unwind *u, uint64 address, uint64 *value) {
  return address >= u->stack.lo && address + 8 <= u->stack.hi && probe_read(address, value);
}

// Fill the frame of a function whose s0 is its frame pointer.
static void unwind_by_fp(struct unwind *u, uint64 fp, uint64 leaf_ra) {
  u->cfa = fp;
  u->caller_pc = u->caller_fp = 0;
  if (leaf_ra) {
    u->caller_pc = leaf_ra;
    read_stack(u, fp - 8, &u->caller_fp);
  } else if (read_stack(u, fp - 8, &u->caller_pc)) {
    read_stack(u, fp - 16, &u->caller_fp);
  }
}

void unwind_begin(struct unwind *u, const struct trap_frame *frame, struct stack_bounds stack) {
  uint64 sp = frame_reg(frame, REG_SP), fp = frame_reg(frame, REG_S0),
         ra = frame_reg(frame, REG_RA);
  *u = (struct unwind){
      .stack = stack,
      .pc = frame->sepc,
      .sp = sp,
      .trapped = true,
      .scause = frame->scause,
      .stval = frame->stval,
  };
  struct prologue p = read_prologue(frame->sepc);
  uint64 raise = 0;
  if (p.set_fp && !read_epilogue(frame->sepc, &raise) && fp == sp + p.lowered) {
    unwind_by_fp(u, fp, p.saved_ra ? 0 : ra);
    return;
  }
  // In the prologue, before s0 was set, or in the epilogue, after s0 and ra were loaded back; or a
  // function without a frame.
  u->cfa = sp + (p.set_fp ? raise : p.lowered);
  u->caller_pc = ra;
  u->caller_fp = fp;
}

// The caller is the trap entry: go on with what it interrupted, by its frame on that stack.
static bool unwind_trap(struct unwind *u, uint64 frame, struct stack_bounds stack) {
  struct trap_frame copy;
  bool crossed = u->crossed || stack.lo != u->stack.lo;
  u->stack = stack;
  for (uint64 i = 0; i < sizeof(copy) / 8; i++)
    if (!read_stack(u, frame + 8 * i, (uint64 *)&copy + i))
      return false;
  if (frame_reg(&copy, REG_SP) != frame + sizeof(copy))  // I1
    return false;
  unwind_begin(u, &copy, stack);
  u->crossed = crossed;
  return true;
}

bool unwind_next(struct unwind *u) {
  if (u->caller_pc == (uint64)trap_kernel_returns_to)
    return unwind_trap(u, u->cfa, u->stack);
  if (u->caller_pc == (uint64)trap_kernel_interrupt_returns_to && !u->crossed) {
    uint64 lo = ROUND_DOWN(u->caller_fp, KSTACK_SIZE);  // stacks are aligned to their size
    return unwind_trap(u, u->caller_fp, (struct stack_bounds){lo, lo + KSTACK_SIZE});
  }
  // A return address is one past the call.
  if (u->caller_pc == (uint64)trap_user_returns_to || !is_kernel_text(u->caller_pc - 4) ||
      u->caller_fp <= u->cfa || u->caller_fp > u->stack.hi || u->caller_fp % 16)
    return false;
  u->trapped = false;
  u->pc = u->caller_pc - 4;
  u->sp = u->cfa;
  unwind_by_fp(u, u->caller_fp, 0);
  return true;
}

// A run of equal frames.
struct run {
  struct symbol symbol;
  bool known;
  uint64 pc, size, count, first;
};

static void print_run(const struct run *r) {
  if (!r->count)
    return;
  kprintf("  #%-3lu %8lu bytes  ", r->first, r->size);
  if (r->known)
    kprintf("%s+0x%lx", r->symbol.name, r->pc - r->symbol.start);
  else
    kprintf("0x%lx", r->pc);
  if (r->count > 1)
    kprintf("  x%lu", r->count);
  kprintf("\n");
}

void backtrace_print(const struct trap_frame *frame, struct stack_bounds stack) {
  struct unwind u;
  struct run run = {0};
  uint64 depth = 0;
  unwind_begin(&u, frame, stack);
  do {
    struct run next = {.pc = u.pc, .size = u.cfa - u.sp, .count = 1, .first = depth};
    next.known = symbol_find(u.pc, &next.symbol);
    if (run.count && !u.trapped && run.pc == next.pc && run.size == next.size) {
      run.count++;
    } else {
      print_run(&run);
      if (u.trapped && depth)
        kprintf("  -- trap: scause 0x%lx, stval 0x%lx --\n", u.scause, u.stval);
      run = next;
    }
    depth++;
  } while (unwind_next(&u));
  print_run(&run);
  if (u.caller_pc == (uint64)trap_user_returns_to)
    kprintf("  -- user mode --\n");
}
