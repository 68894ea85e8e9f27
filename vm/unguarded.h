// SPDX-License-Identifier: MIT
//
// Kernel stacks without guards: what threads run on with VMAP_STACK=n (docs/vmap-stack.md).
#pragma once

#include "vm/vmalloc.h"

// Allocate a stack of zeros that is one block of the direct map, aligned to its size.  The area
// says where, and maps nothing itself.  NULL on no memory.  Holds: as vmalloc_range.
struct vm_area *unguarded_alloc(void);

// If the stack is a block, give that back, and leave an area to be freed like any other.
void unguarded_free(struct vm_area *area);
