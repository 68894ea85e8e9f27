// SPDX-License-Identifier: MIT
//
// The kernel's symbol table.  symbols.awk makes it from a first link of the kernel, and the second
// link puts it at the end of .rodata.  It is sorted by address, for a binary search.
#include "kern/lib/symbols.h"

#include "vm/layout.h"

struct entry {
  uint32 start;  // from IMAGE_BASE
  uint32 size;
  uint32 name;  // from symbol_names
};

extern const uint64 symbol_count;
extern const struct entry symbol_table[];
extern const char symbol_names[];

bool symbol_find(uint64 pc, struct symbol *s) {
  uint64 offset = pc - IMAGE_BASE;
  uint64 low = 0, high = symbol_count;
  while (low < high) {
    uint64 middle = (low + high) / 2;
    const struct entry *e = &symbol_table[middle];
    if (offset < e->start) {
      high = middle;
    } else if (offset - e->start >= e->size) {
      low = middle + 1;
    } else {
      *s = (struct symbol){&symbol_names[e->name], IMAGE_BASE + e->start};
      return true;
    }
  }
  return false;
}
