// SPDX-License-Identifier: MIT
//
// Bits.  The base instruction set has no count of zeros, and the kernel links no compiler library.
#pragma once

#include "kern/lib/types.h"

// Return the number of the lowest bit set in word, which is not 0.
static inline uint32 lowest_bit(uint64 word) {
  uint32 n = 0;
  for (uint32 half = 32; half; half /= 2)
    if (!(word & ((1UL << half) - 1))) {
      word >>= half;
      n += half;
    }
  return n;
}
