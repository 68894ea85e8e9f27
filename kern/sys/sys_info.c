// SPDX-License-Identifier: MIT
//
// System calls that xv6 does not have: what the kernel tells about itself, and switching the
// machine off.
//
// A list is copied to the user one record at a time.  A record is built on the stack and has no
// padding that could carry kernel memory along.  An entry that changes meanwhile may be missing, or
// appear twice.
#include "kern/dev/uart.h"
#include "kern/fs/log.h"
#include "kern/lib/abi.h"
#include "kern/lib/errno.h"
#include "kern/lib/power.h"
#include "kern/lib/print.h"
#include "kern/proc/process.h"
#include "kern/sys/sys.h"
#include "vm/kstack.h"
#include "vm/page.h"
#include "vm/tlb.h"
#include "vm/usercopy.h"

// Neither record has padding; the compiler would have to add some for this to fail.
_Static_assert(sizeof(struct stack_info) == 5 * 8 + 6 * 4 + 16, "stack_info has a hole");
_Static_assert(sizeof(struct process_info) == 6 * 4 + 3 * 8 + 16, "process_info has a hole");
_Static_assert(STACK_PAGES == KSTACK_PAGES, "programs know another size of stacks");

int64 sys_poweroff(const uint64 *arg) {
  if (arg[0] > 255)
    return -EINVAL;
  bool failed = log_close() < 0;
  if (failed)
    kprintf("poweroff: the file system failed before; its last changes are not on the disk\n");
  uart_flush();
  power_off(arg[0] ? arg[0] : failed);
}

int64 sys_stackinfo(const uint64 *arg) {
  int64 n = (int)arg[1], found = 0;
  struct stack_info info;
  for (uint64 i = 0; i < kstack_slots(); i++) {
    if (!kstack_info(i, &info))
      continue;
    if (found < n && copy_to_user(arg[0] + found * sizeof(info), &info, sizeof(info)) < 0)
      return -EFAULT;
    found++;
  }
  return found;
}

int64 sys_procinfo(const uint64 *arg) {
  int64 n = (int)arg[1], found = 0;
  struct process_info info;
  for (uint64 cursor = 0; process_describe_next(&cursor, &info); found++)
    if (found < n && copy_to_user(arg[0] + found * sizeof(info), &info, sizeof(info)) < 0)
      return -EFAULT;
  return found;
}

int64 sys_meminfo(const uint64 *arg) {
  struct memory_info info = {.fences = tlb_fence_count()};
  kstack_count(&info);
  page_drain();  // what caches hold is free
  page_count(&info);
  return copy_to_user(arg[0], &info, sizeof(info));
}
