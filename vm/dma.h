// SPDX-License-Identifier: MIT
//
// Addresses for devices.  A driver gets them only here.
#pragma once

#include "kern/lib/types.h"

// Return the physical address of size bytes at p (at least 1) for a device to read or write.  All
// of them must be in the direct map (page_alloc, kmalloc) or in the image's data, and writable.
// Panics for all other memory, naming its owner and the caller: a kernel stack or vmalloc area is
// not physically contiguous, and may go while the device still uses it.
pa_t dma_map(const void *p, uint64 size);
