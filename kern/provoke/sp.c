// SPDX-License-Identifier: MIT
//
// sp points where no frame can be, or where little stack is left.
#include "kern/provoke/tests.h"

#include "kern/provoke/faults.h"
#include "kern/provoke/words.h"
#include "kern/sched/thread.h"
#include "vm/layout.h"
#include "vm/usercopy.h"

static void set_sp(uint64 sp, const char *trap) {
  if (word_is(trap, "load"))
    provoke_sp_load(sp);
  else if (word_is(trap, "store"))
    provoke_sp_store(sp);
  else if (word_is(trap, "interrupt"))
    provoke_sp_interrupt(sp);
  else if (word_is(trap, "sink"))
    provoke_sp_sink(sp);
  else
    provoke_sp_break(sp);
}

void provoke_wild_sp(char *words[]) {
  set_sp(word_sp(words[0]), words[1]);
}

void provoke_underflow(char *words[]) {
  set_sp(thread_current()->stack_hi + word_number(words[0], 16), words[1]);
}

void provoke_jump_frame(char *words[]) {
  provoke_sp_store(thread_current()->kstack->lo - word_number(words[0], KSTACK_GUARD));
}

// A user copy whose target is not there yet: its page fault finds little stack.
void provoke_copy_low(char *words[]) {
  provoke_copy(word_sp(words[0]), word_number(words[1], 0));
}

// A user copy whose other side, the kernel's, is bad.
void provoke_copy_kernel(char *words[]) {
  void *at = (void *)word_sp(words[1]);
  uva_t user = frame_reg(thread_user_frame(thread_current()), REG_SP);
  if (word_is(words[0], "from"))
    copy_from_user(at, user, 8);
  else if (word_is(words[0], "string"))
    copy_string_from_user(at, user, 8);
  else
    copy_to_user(user, at, 8);
}
