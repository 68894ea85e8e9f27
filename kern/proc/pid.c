// SPDX-License-Identifier: MIT
//
// The pid table: a hash of chains, a power of two of buckets, the pid's low bits the hash.
// Numbers are given in sequence, so a chain longer than one is rare.
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

static struct process **table;  // [I] the chains' heads; the chains are process_lock's
static uint32 mask;             // [I] buckets - 1
static uint32 limit;            // [I] processes there may be
static uint32 count;            // [process_lock] numbers reserved
static int last;                // [process_lock] number given last

void pid_init(void) {
  uint64 wanted = bootarg_number("nproc", NPROC_DEFAULT);
  if (wanted < NPROC_MIN || wanted > NPROC_MAX)
    panic("nproc=%lu: must be from %u to %u", wanted, NPROC_MIN, NPROC_MAX);
  uint32 buckets = PAGE_SIZE / sizeof(*table);
  while (buckets < wanted)
    buckets *= 2;
  struct vm_area *area =
      vmalloc_range(&vmalloc_general, buckets * sizeof(*table), PAGE_SIZE, PROT_KERNEL_RW);
  if (area == NULL)
    panic("nproc=%lu: no memory for a table of %u processes", wanted, buckets);
  table = (struct process **)area->base;
  memset(table, 0, area->size);
  mask = buckets - 1;
  limit = wanted;
}

static struct process **bucket_of(int pid) {
  return &table[(uint32)pid & mask];
}

int pid_reserve(void) {
  assert(spin_holding(&process_lock));
  if (count >= limit)
    return -EAGAIN;
  count++;
  do {
    last = last == INT32_MAX ? 1 : last + 1;
  } while (pid_find(last) != NULL);
  return last;
}

void pid_release(void) {
  assert(spin_holding(&process_lock) && count > 0);
  count--;
}

void pid_insert(struct process *p) {
  assert(spin_holding(&process_lock));
  struct process **bucket = bucket_of(p->pid);
  p->pid_next = *bucket;
  *bucket = p;
}

void pid_remove(struct process *p) {
  assert(spin_holding(&process_lock));
  struct process **link = bucket_of(p->pid);
  while (*link != p) {
    assert(*link != NULL);
    link = &(*link)->pid_next;
  }
  *link = p->pid_next;
}

struct process *pid_find(int pid) {
  assert(spin_holding(&process_lock));
  struct process *p = *bucket_of(pid);
  while (p != NULL && p->pid != pid)
    p = p->pid_next;
  return p;
}

// The cursor is a bucket, and in its upper half how many of that chain have been returned.
struct process *pid_next(uint64 *cursor) {
  assert(spin_holding(&process_lock));
  uint32 bucket = *cursor, seen = *cursor >> 32;
  for (; bucket <= mask; bucket++, seen = 0) {
    struct process *p = table[bucket];
    for (uint32 i = 0; i < seen && p != NULL; i++)
      p = p->pid_next;
    if (p != NULL) {
      *cursor = (uint64)(seen + 1) << 32 | bucket;
      return p;
    }
  }
  *cursor = bucket;
  return NULL;
}
