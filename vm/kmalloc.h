// SPDX-License-Identifier: MIT
//
// Small objects: slabs of power-of-two sizes from 32 to 2048 bytes.  A larger object, and each
// object with KASAN=y, is a whole block of pages.
#pragma once

#include "kern/lib/types.h"

// Allocate size bytes aligned to 16, contents undefined; at most 64 KiB.  Returns NULL on no
// memory.  Does not sleep.  The memory is in the direct map, so a device may reach it (vm/dma.h).
void *kmalloc(size_t size);

// As kmalloc, but filled with zeros.
void *kzalloc(size_t size);

// Free what kmalloc returned.  NULL is allowed.
void kfree(void *p);
