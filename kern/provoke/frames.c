// SPDX-License-Identifier: MIT
//
// Known frames and registers, and what a function finds spoiled when it returns.
#include "kern/provoke/tests.h"

#include "kern/lib/print.h"
#include "kern/provoke/faults.h"
#include "kern/provoke/provoke.h"
#include "kern/provoke/words.h"
#include "kern/sched/thread.h"
#include "vm/kstack.h"

// Known functions on the stack: plant_outer, plant_inner, and plant_repeat n + 1 times.  Not
// static, so that the compiler keeps their names.
uint64 plant_repeat(uint64 n);
uint64 plant_inner(uint64 n);
uint64 plant_outer(uint64 n);

__attribute__((noinline)) uint64 plant_repeat(uint64 n) {
  volatile uint8 local[64];
  local[n % sizeof(local)] = n;
  if (n == 0)
    provoke_load(0);
  else
    plant_repeat(n - 1);
  return local[n % sizeof(local)];
}

__attribute__((noinline)) uint64 plant_inner(uint64 n) {
  return plant_repeat(n) + 1;
}

__attribute__((noinline)) uint64 plant_outer(uint64 n) {
  return plant_inner(n) + 1;
}

void provoke_plant(char *words[]) {
  uint64 n = word_number(words[0], 10);
  if (word_is(words[1], "small"))
    provoke_calls(n);
  else if (word_is(words[1], "mixed"))
    provoke_calls_mixed(n);
  else
    plant_outer(n);
}

void provoke_set_registers(char *words[]) {
  uint64 seed = word_number(words[1], 0x1000000000000000);
  provoke_registers(words[0] ? word_sp(words[0]) : seed + REG_SP, seed);
}

void provoke_stack_use(char *words[]) {
  uint64 n = ROUND_UP(word_number(words[0], 1024), 16), sp;
  struct stack_info info;
  asm volatile("mv %0, sp" : "=r"(sp));
  provoke_use(n);
  if (kstack_info((sp - KSTACK_BASE) >> KSTACK_SLOT_SHIFT, &info))
    kprintf("provoke: used %lu bytes of stack, to a depth of %lu, peak %lu\n", n, info.hi - sp + n,
            info.peak);
  if (words[0] && words[1])
    provoke_run(words + 1);
}

static __attribute__((noinline)) void overrun(volatile char *p, uint32 n) {
  while (n-- > 0)
    *p++ = 'a';
}

// Overrun a local array, return address included.
static __attribute__((noinline)) void corrupt(uint32 n) {
  volatile char local[8];
  overrun(local, n);
}

void provoke_corrupt_stack(char *words[]) {
  corrupt(word_number(words[0], 64));
}

// Spoil what the way back to user mode restores.
void provoke_corrupt_frame(char *words[]) {
  struct trap_frame *frame = thread_user_frame(thread_current());
  if (word_is(words[0], "mode"))
    frame->sstatus |= SSTATUS_SPP;
  else
    frame->sepc = (uint64)provoke_load;
}
