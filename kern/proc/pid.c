// SPDX-License-Identifier: MIT
//
// The pid table has a power of two of slots; the low bits of a pid are its slot.  Numbers are given
// in sequence, except those whose slot is taken.  At least half of the slots are free, so these are
// few.
#include "kern/proc/pid.h"

#include "kern/lib/errno.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "kern/proc/process.h"
#include "vm/vmalloc.h"

#define NPROC_MIN 2  // init and one to do the work
#define NPROC_MAX (1U << 20)

struct spinlock process_lock = SPINLOCK_INIT("process");

// [I] fixed after pid_init  [p] process_lock
static struct {
  struct process **slots;  // the array [I], its slots [p]
  uint32 mask;             // [I] number of slots - 1
  uint32 limit;            // [I] processes there may be
  uint32 count;            // [p] numbers reserved
  int last;                // [p] number given last
} pids;

static struct process reserved;  // in the slots of numbers that no process has yet

void pid_init(void) {
  uint64 wanted = bootarg_number("nproc", NPROC_DEFAULT, NPROC_MIN, NPROC_MAX);
  uint32 slots = PAGE_SIZE / sizeof(*pids.slots);
  while (slots < 2 * wanted)
    slots *= 2;
  struct vm_area *area = vmalloc_range(&vmalloc_general, slots * sizeof(*pids.slots));
  if (!area)
    panic("nproc=%lu: no memory for a table of %u processes", wanted, slots);
  pids.slots = (struct process **)area->base;
  pids.mask = slots - 1;
  pids.limit = wanted;
}

static struct process **slot_of(int pid) {
  return &pids.slots[(uint32)pid & pids.mask];
}

int pid_reserve(bool limited) {
  assert(spin_holding(&process_lock));
  if (pids.count >= (limited ? pids.limit - pids.limit / 8 : pids.limit))
    return -EAGAIN;
  pids.count++;
  do {
    pids.last = pids.last == __INT_MAX__ ? 1 : pids.last + 1;
  } while (*slot_of(pids.last));
  *slot_of(pids.last) = &reserved;
  return pids.last;
}

void pid_release(int pid) {
  assert(spin_holding(&process_lock) && pids.count > 0 && *slot_of(pid));
  pids.count--;
  *slot_of(pid) = NULL;
}

void pid_insert(struct process *p) {
  assert(spin_holding(&process_lock) && *slot_of(p->pid) == &reserved);
  *slot_of(p->pid) = p;
}

struct process *pid_find(int pid) {
  assert(spin_holding(&process_lock));
  struct process *p = *slot_of(pid);
  return p && p->pid == pid && p != &reserved ? p : NULL;
}

struct process *pid_next(uint64 *cursor) {
  assert(spin_holding(&process_lock));
  for (; *cursor <= pids.mask; ++*cursor) {
    struct process *p = pids.slots[*cursor];
    if (p && p != &reserved) {
      ++*cursor;
      return p;
    }
  }
  return NULL;
}
