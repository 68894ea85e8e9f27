// SPDX-License-Identifier: MIT
//
// Counting zeros: the compiler calls this function where the machine has no instruction for it
// (Zbb).  Six steps; each halves the bits left.
#include "kern/lib/types.h"

int __ctzdi2(uint64 x);

int __ctzdi2(uint64 x) {
  int n = 0;
  for (int step = 32; step > 0; step /= 2)
    if (x << (64 - step) == 0) {
      n += step;
      x >>= step;
    }
  return n;
}
