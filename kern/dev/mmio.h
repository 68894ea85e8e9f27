// SPDX-License-Identifier: MIT
//
// Device registers, and ordering them with memory.  RISC-V unprivileged 2.7 (fence).
#pragma once

#include "kern/lib/kasan.h"
#include "kern/lib/types.h"

KASAN_EXEMPT static inline uint32 mmio_read(volatile void *base, uint64 offset) {
  return *(volatile uint32 *)((volatile char *)base + offset);
}

KASAN_EXEMPT static inline void mmio_write(volatile void *base, uint64 offset, uint32 value) {
  *(volatile uint32 *)((volatile char *)base + offset) = value;
}

// Order all earlier accesses to memory and devices before all later ones.
static inline void mmio_fence(void) {
  asm volatile("fence iorw, iorw" : : : "memory");
}
