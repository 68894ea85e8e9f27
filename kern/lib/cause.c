// SPDX-License-Identifier: MIT
//
// Causes of exceptions, in words.
#include "kern/lib/cause.h"

#include "kern/lib/csr.h"

const char *exception_name(uint64 scause) {
  static const char *const names[] = {
      [CAUSE_FETCH_MISALIGNED] = "misaligned jump",
      [CAUSE_FETCH_ACCESS] = "jump to memory that is not there",
      [CAUSE_ILLEGAL] = "illegal instruction",
      [CAUSE_BREAKPOINT] = "breakpoint",
      [CAUSE_LOAD_MISALIGNED] = "misaligned load",
      [CAUSE_LOAD_ACCESS] = "load from memory that is not there",
      [CAUSE_STORE_MISALIGNED] = "misaligned store",
      [CAUSE_STORE_ACCESS] = "store to memory that is not there",
      [CAUSE_FETCH_PAGE] = "jump to where it may not execute",
      [CAUSE_LOAD_PAGE] = "load from where it may not read",
      [CAUSE_STORE_PAGE] = "store to where it may not write",
  };
  return scause < ARRAY_SIZE(names) && names[scause] ? names[scause] : "unexpected trap";
}
