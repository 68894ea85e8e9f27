// SPDX-License-Identifier: MIT
//
// Flattened device trees.  Devicetree specification 0.4, chapter 5.  Pure: no allocation, no
// recursion, every offset checked against the blob's size before use, so that a hostile blob gives
// an error and nothing else.  Also compiled for the host, where it is tested.
#pragma once

#include "kern/lib/machine.h"
#include "kern/lib/types.h"

// Return the size of the blob that begins at fdt, from its header, or 0 when the magic number or
// the version is wrong.  Reads the 40 bytes of the header only.
uint32 fdt_size(const void *fdt);

// Fill *m from the blob of size bytes at fdt, which lies at physical address fdt_pa (0: unknown;
// else its own range becomes reserved).  Returns 0, or -EINVAL with *why naming what is wrong.
int fdt_read_machine(const void *fdt, uint32 size, pa_t fdt_pa, struct machine *m,
                     const char **why);
