// SPDX-License-Identifier: MIT
//
// The system call table.
#include "trap/syscall.h"

#include "kern/lib/abi.h"
#include "kern/lib/print.h"
#include "kern/proc/give_back.h"
#include "kern/sys/sys.h"
#include "trap/trap.h"

#define XV6_LAST SYS_close  // the calls up to here know one error, -1

typedef int64 (*system_call)(const uint64 *arg);

#define ENTER_CALL(name, number) [SYS_##name] = sys_##name,
static const system_call table[] = {SYSTEM_CALLS(ENTER_CALL)};

static int64 unknown(uint64 number) {
  kprintf("%d %s: unknown sys call %ld\n", process_current()->pid, process_current()->name,
          (int64)number);
  return -1;
}

void syscall(struct trap_frame *frame) {
  frame->sepc += 4;  // go on behind the ecall
  irq_on();
  uint64 number = frame_reg(frame, REG_A7);
  system_call call = number < ARRAY_SIZE(table) ? table[number] : NULL;
  int64 result = call ? call(&frame_reg(frame, REG_A0)) : unknown(number);
  frame_reg(frame, REG_A0) = result;
  if (__builtin_expect(result < 0, 0)) {
    give_back_references();
    if (frame_reg(frame, REG_A7) <= XV6_LAST)
      frame_reg(frame, REG_A0) = -1;
  }
  irq_off();
  check_user_return(frame);
}
