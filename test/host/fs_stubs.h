// SPDX-License-Identifier: MIT
//
// What kern/fs stands on, for the host: a disk in memory that can fail or lose power, threads,
// locks, memory and a small user address space.
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "kern/lib/abi.h"
#include "kern/lib/types.h"

#define CHECK(cond)                                                                                \
  do {                                                                                             \
    if (!(cond)) {                                                                                 \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                   \
      abort();                                                                                     \
    }                                                                                              \
  } while (0)

// The disk.  Written blocks are durable only after a flush; a power cut keeps a random choice of
// the halves of the rest.  All of it is shared with child processes.
#define DISK_MAX    120000
#define PENDING_MAX 10000
struct fake_disk {
  uint32 pending[PENDING_MAX];  // blocks written since the last flush, in order
  uint32 npending;
  uint64 blocks;              // size
  uint64 steps;               // writes and flushes so far
  uint64 cut_at;              // the power fails at this step, or the next (0: never)
  uint64 fail_from, fail_to;  // steps that fail
  uint32 bad_block;           // cannot be read
  bool cut;
  bool slow;  // reads take a while
  _Alignas(4096) uint8 durable[DISK_MAX][BLOCK_SIZE];
  _Alignas(4096) uint8 current[DISK_MAX][BLOCK_SIZE];
};
extern struct fake_disk *disk;
extern void (*disk_on_write)(uint64 block, const uint8 *data);

void *shared_memory(size_t size);  // zeroed
void disk_fresh(uint64 blocks);    // zeroed, healthy
void disk_save(void);              // remember it all
void disk_restore(void);
// After a cut: decide by the seed what is on the platter now.  Its lowest two bits are the halves
// that have arrived of the block written last.
void disk_settle(unsigned seed);
_Noreturn void on_power_cut(void);  // ends the process

// The user's memory: [USER_BASE, USER_BASE + USER_SIZE), pages below user_bad_from only.
#define USER_BASE 0x1000
#define USER_SIZE (1 << 20)
extern uint8 user_memory[USER_SIZE];
extern uva_t user_bad_from;
uva_t user_string(const char *s);

extern int threads_asleep;  // on a wait queue

// Memory.
extern int64 live_objects;     // allocations not yet freed
extern int64 fail_allocation;  // counts down; the one that makes it 0 fails
extern uint64 fake_pages;
extern bool quiet;
