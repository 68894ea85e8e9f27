// SPDX-License-Identifier: MIT
//
// A machine for vm/ on the host: some memory as RAM, threads as harts, spin locks of the host.
// Included before the sources under test.
#pragma once

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kern/lib/machine.h"
#include "test/host/check.h"
#include "test/host/panic_host.h"
#include "test/host/spin_host.h"
#include "vm/layout.h"

#define KASAN    0
#define RAM_BASE 0x80000000UL
#define RAM_SIZE (16UL << 20)

// The direct map and the image lie wherever the host put them.
static char *ram;
char image_end[1];
#undef DIRECT_BASE
#undef DIRECT_END
#undef IMAGE_BASE
#define DIRECT_BASE ((uint64)ram - RAM_BASE)
#define DIRECT_END  ((uint64)ram + RAM_SIZE)
#define IMAGE_BASE  ((uint64)image_end - 0x100000)

struct machine machine;
struct hart harts[HART_MAX];
uint32 hart_count = 8;
static __thread uint32 this_index;

static inline uint32 hart_index(void) {
  return this_index;
}
static inline struct hart *this_hart(void) {
  return &harts[this_index];
}
static inline irq_t irq_save(void) {
  return 0;
}
static inline void irq_restore(irq_t state) {
  (void)state;
}
static inline bool irq_enabled(void) {
  return false;
}

void panic_poll(void) {
}

// Lay out RAM with firmware, the image, a hole between banks, and reserved ranges that touch and
// overlap.
static inline void machine_make(void) {
  ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(ram != MAP_FAILED);
  memset(ram, 0xa5, RAM_SIZE);
  machine.ram[0] = (struct pa_range){RAM_BASE, 0x900000};
  machine.ram[1] = (struct pa_range){RAM_BASE + 0xa00800, RAM_SIZE - 0xa00800};
  machine.ram_count = 2;
  machine.reserved[0] = (struct pa_range){RAM_BASE, 0x80000};
  machine.reserved[1] = (struct pa_range){RAM_BASE + 0x300000, 0x1800};
  machine.reserved[2] = (struct pa_range){RAM_BASE + 0x301800, 0x1000};
  machine.reserved[3] = (struct pa_range){RAM_BASE + RAM_SIZE - 0x200000, 0x1234};
  machine.reserved_count = 4;
}

static uint64 random_state = 88172645463325252UL;

static inline uint64 random_below(uint64 n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state % n;
}
