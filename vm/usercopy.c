// SPDX-License-Identifier: MIT
//
// Copies between the kernel and the running process: range checks, and what a fault means.
#include "vm/usercopy.h"

#include "kern/lib/errno.h"
#include "kern/lib/hart.h"
#include "kern/lib/kasan.h"
#include "kern/lib/panic.h"
#include "kern/lib/trapframe.h"
#include "vm/layout.h"
#include "vm/space.h"

// usercopy.S
extern char usercopy_begin[], usercopy_end[], usercopy_fixup[];
int usercopy_copy(uint64 to, uint64 from, uint64 bytes);
int64 usercopy_string(uint64 to, uint64 from, uint64 bytes);

// A fault may allocate and take locks, so the caller holds none.
static bool user_range(uva_t va, uint64 n) {
  assert(!hart_held());
  return va <= USER_END && n <= USER_END - va;
}

int copy_from_user(void *dst, uva_t src, uint64 n) {
  KASAN_WRITES(dst, n);
  if (!user_range(src, n))
    return -EFAULT;
  return usercopy_copy((uint64)dst, src, n);
}

int copy_to_user(uva_t dst, const void *src, uint64 n) {
  KASAN_READS(src, n);
  if (!user_range(dst, n))
    return -EFAULT;
  return usercopy_copy(dst, (uint64)src, n);
}

int64 copy_string_from_user(char *dst, uva_t src, uint64 size) {
  assert(size > 0);
  KASAN_WRITES(dst, size);
  if (!user_range(src, 1))
    return -EFAULT;
  uint64 room = USER_END - src;
  uint64 most = size < room ? size : room;
  int64 length = usercopy_string((uint64)dst, src, most);
  if (length == (int64)most)
    return most < size ? -EFAULT : -ENAMETOOLONG;
  return length;
}

bool usercopy_fault(struct trap_frame *frame) {
  assert(!irq_enabled());
  if (frame->sepc < (uint64)usercopy_begin || frame->sepc >= (uint64)usercopy_end)
    return false;
  // The other side of the copy must be the kernel's.
  if ((frame->scause != CAUSE_LOAD_PAGE && frame->scause != CAUSE_STORE_PAGE) ||
      frame->stval >= USER_END ||
      (frame_reg(frame, REG_A0) < USER_END && frame_reg(frame, REG_A1) < USER_END))
    return false;
  enum access access = frame->scause == CAUSE_STORE_PAGE ? ACCESS_WRITE : ACCESS_READ;
  struct space *s = space_current();
  if (frame->sstatus & SSTATUS_SPIE)
    irq_on();
  if (!s || space_fault(s, frame->stval, access) != 0) {
    frame_reg(frame, REG_A0) = (uint64)-EFAULT;
    frame->sepc = (uint64)usercopy_fixup;
  }
  irq_off();
  return true;
}
