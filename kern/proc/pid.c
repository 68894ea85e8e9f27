// SPDX-License-Identifier: MIT
//
// The pid table: a power of two of slots, and a pid's low bits are the slot it may have.  Numbers
// are given in sequence, passing over those whose slot is taken; at least half of the slots are
// free, so few are.
#include "kern/proc/pid.h"

#include "kern/lib/errno.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "kern/lib/string.h"
#include "kern/proc/process.h"
#include "vm/vmalloc.h"

#define NPROC_MIN 2  // init and one to do the work
#define NPROC_MAX (1U << 20)

struct spinlock process_lock = SPINLOCK_INIT("process");

static struct process **table;   // [I] the slots are process_lock's
static struct process reserved;  // in the slots of numbers that no process bears yet
static uint32 mask;              // [I] slots - 1
static uint32 limit;             // [I] processes there may be
static uint32 count;             // [process_lock] numbers reserved
static int last;                 // [process_lock] number given last

void pid_init(void) {
  uint64 wanted = bootarg_number("nproc", NPROC_DEFAULT, NPROC_MIN, NPROC_MAX);
  uint32 slots = PAGE_SIZE / sizeof(*table);
  while (slots < 2 * wanted)
    slots *= 2;
  struct vm_area *area =
      vmalloc_range(&vmalloc_general, slots * sizeof(*table), PAGE_SIZE, PROT_KERNEL_RW);
  if (area == NULL)
    panic("nproc=%lu: no memory for a table of %u processes", wanted, slots);
  table = (struct process **)area->base;
  memset(table, 0, area->size);
  mask = slots - 1;
  limit = wanted;
}

static struct process **slot_of(int pid) {
  return &table[(uint32)pid & mask];
}

int pid_reserve(bool limited) {
  assert(spin_holding(&process_lock));
  if (count >= (limited ? limit - limit / 8 : limit))
    return -EAGAIN;
  count++;
  do {
    last = last == __INT_MAX__ ? 1 : last + 1;
  } while (*slot_of(last) != NULL);
  *slot_of(last) = &reserved;
  return last;
}

void pid_release(int pid) {
  assert(spin_holding(&process_lock) && count > 0 && *slot_of(pid) != NULL);
  count--;
  *slot_of(pid) = NULL;
}

void pid_insert(struct process *p) {
  assert(spin_holding(&process_lock) && *slot_of(p->pid) == &reserved);
  *slot_of(p->pid) = p;
}

struct process *pid_find(int pid) {
  assert(spin_holding(&process_lock));
  struct process *p = *slot_of(pid);
  return p != NULL && p->pid == pid && p != &reserved ? p : NULL;
}

struct process *pid_next(uint64 *cursor) {
  assert(spin_holding(&process_lock));
  for (; *cursor <= mask; ++*cursor) {
    struct process *p = table[*cursor];
    if (p != NULL && p != &reserved) {
      ++*cursor;
      return p;
    }
  }
  return NULL;
}
