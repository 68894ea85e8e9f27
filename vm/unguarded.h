// SPDX-License-Identifier: MIT
//
// Kernel stacks without guards: what threads run on with VMAP_STACK=n (docs/vmap-stack.md).
#pragma once

#include "vm/kstack.h"

// Move a stack whose slot is empty to a block of zeros in the direct map, aligned to its size.
// Returns false on no memory.  The caller holds no lock of this room.
bool unguarded_take(struct kstack *stack);

// Give back the block of such a stack; do nothing for one in its slot.
void unguarded_give(const struct kstack *stack);
