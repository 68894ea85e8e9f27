// SPDX-License-Identifier: MIT
#include "kern/provoke/words.h"

#include "kern/lib/machine.h"
#include "kern/lib/string.h"
#include "kern/provoke/faults.h"
#include "kern/sched/thread.h"
#include "vm/kstack.h"
#include "vm/layout.h"

bool word_is(const char *word, const char *s) {
  return word && strncmp(word, s, strlen(s) + 1) == 0;
}

uint64 word_number(const char *word, uint64 fallback) {
  uint64 value;
  return word && parse_number(word, &value) ? value : fallback;
}

void word_access(const char *word, uint64 address) {
  if (word_is(word, "write"))
    provoke_store(address);
  else
    provoke_load(address);
}

bool other_stack(struct stack_info *info, uint64 pid) {
  const struct thread *me = thread_current();
  for (uint64 i = 0; i < kstack_slots(); i++)
    if (kstack_info(i, info) && info->lo != me->kstack->lo &&
        info->lo != me->kstack->lo + KSTACK_SLOT && (!pid || (uint64)info->pid == pid))
      return true;
  return false;
}

static uint64 place_named(const char *word) {
  const struct thread *me = thread_current();
  struct stack_info other;
  if (word_is(word, "null"))
    return 0;
  if (word_is(word, "user"))
    return frame_reg(thread_user_frame(me), REG_SP);
  if (word_is(word, "text"))
    return (uint64)provoke_load & ~15UL;
  if (word_is(word, "direct"))
    return DIRECT_BASE + ROUND_UP(IMAGE_PA + IMAGE_MAX, PAGE_SIZE);
  if (word_is(word, "other"))
    return other_stack(&other, 0) ? other.hi - KSTACK_SIZE / 2 : 0;
  if (word_is(word, "odd"))
    return ((uint64)__builtin_frame_address(0) & ~15UL) - 504;
  if (word_is(word, "lo"))
    return me->kstack->lo;
  if (word_is(word, "hi"))
    return me->stack_hi;
  if (word_is(word, "here"))
    return (uint64)__builtin_frame_address(0) & ~15UL;
  return word_number(word, 0);
}

uint64 word_sp(char *word) {
  char *sign = word;
  while (sign && *sign && *sign != '+' && *sign != '-')
    sign++;
  if (!sign || !*sign)
    return place_named(word);
  char c = *sign;
  *sign = 0;
  uint64 offset = word_number(sign + 1, 0);
  return c == '+' ? place_named(word) + offset : place_named(word) - offset;
}
