// SPDX-License-Identifier: MIT
//
// The kernel's own symbol table: function names for reports, made from the linked image.
#pragma once

#include "kern/lib/types.h"

struct symbol {
  const char *name;
  uint64 start;  // first byte of the function
};

// Fill *s with the function that contains address pc.  Returns whether there is one.  Any context.
bool symbol_find(uint64 pc, struct symbol *s);
