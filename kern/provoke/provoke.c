// SPDX-License-Identifier: MIT
//
// The device crash: lists the tests of tests.h, and runs one.
#include "kern/provoke/provoke.h"

#include "kern/dev/device.h"
#include "kern/lib/abi.h"
#include "kern/lib/errno.h"
#include "kern/lib/print.h"
#include "kern/proc/give_back.h"
#include "kern/provoke/faults.h"
#include "kern/provoke/tests.h"
#include "kern/provoke/words.h"
#include "vm/usercopy.h"

#define COMMAND_SIZE 128
#define WORDS        9  // of a command

struct test {
  const char *name;
  const char *help;
  void (*run)(char *words[]);
  enum outcome outcome;
};

#define TEST_ENTRY(name, function, outcome, help) {#name, help, provoke_##function, outcome},
static const struct test tests[] = {TESTS(TEST_ENTRY)};

static int64 crash_read(uva_t dst, uint64 n, uint64 offset) {
  char buf[160];
  uint64 at = 0, done = 0;
  for (uint32 i = 0; i < ARRAY_SIZE(tests) && done < n; i++) {
    uint64 length = ksnprintf(buf, sizeof(buf), "%-26s %s\n", tests[i].name, tests[i].help);
    uint64 skip = offset + done - at;
    at += length;
    if (skip >= length)
      continue;
    uint64 k = length - skip < n - done ? length - skip : n - done;
    if (copy_to_user(dst + done, buf + skip, k) != 0)
      return -EFAULT;
    done += k;
  }
  return done;
}

// Cut s into words at blanks.  Returns whether they fitted.
static bool split(char *s, char *words[], uint32 max) {
  for (uint32 n = 0;; n++) {
    while (*s == ' ' || *s == '\n')
      *s++ = 0;
    if (*s == 0)
      return true;
    if (n == max)
      return false;
    words[n] = s;
    while (*s && *s != ' ' && *s != '\n')
      s++;
  }
}

int provoke_run(char *words[]) {
  for (uint32 i = 0; i < ARRAY_SIZE(tests); i++)
    if (word_is(words[0], tests[i].name)) {
      provoke_here();
      tests[i].run(words + 1);
      if (tests[i].outcome == STOPS)
        kprintf("FAIL: %s survived\n", tests[i].name);
      return 0;
    }
  return -EINVAL;
}

static int64 crash_write(uva_t src, uint64 n, uint64 offset) {
  (void)offset;
  char command[COMMAND_SIZE];
  char *words[WORDS + 3] = {NULL};  // tests find null behind the last
  if (n >= sizeof(command))
    return -EINVAL;
  if (copy_from_user(command, src, n) != 0)
    return -EFAULT;
  command[n] = 0;
  if (!split(command, words, WORDS))
    return -EINVAL;
  if (!words[0])
    return n;
  int err = provoke_run(words);
  give_back_references();  // of what failed, which is not always an error of the call
  return err != 0 ? err : (int64)n;
}

void provoke_init(void) {
  static const struct device crash = {crash_read, crash_write};
  device_register(DEV_CRASH, &crash);
}
