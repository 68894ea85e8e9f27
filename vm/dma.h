// SPDX-License-Identifier: MIT
//
// Addresses for devices.  The only way by which a driver gets one.
#pragma once

#include "kern/lib/types.h"

// Return the physical address of size bytes at p (at least 1) for a device to read or write.  All
// of them must be in the direct map (page_alloc, kmalloc) or in the image's data, and writable.  A
// kernel stack or vmalloc address is not physically contiguous, and lives shorter than the device
// thinks: panics with the buffer's owner and the caller.
pa_t dma_map(const void *p, uint64 size);
