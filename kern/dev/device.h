// SPDX-License-Identifier: MIT
//
// Character devices, found by the major number that mknod gave.  Our own devices have numbers from
// 64 up.  Lower numbers mean what disk images from elsewhere expect of them.
#pragma once

#include "kern/lib/types.h"

struct device {
  // Transfer at most n bytes at a user address; offset is how many were read through this open
  // file. Return the count, 0 at the end of the file, or a negative errno.  Once at its end a file
  // stays there, except the console.
  int64 (*read)(uva_t dst, uint64 n, uint64 offset);
  int64 (*write)(uva_t src, uint64 n, uint64 offset);
};

// Make d the device of that major number.  Boot only.
void device_register(int major, const struct device *d);

// Return the device of that major number.  One that the kernel does not have can do nothing.
const struct device *device_find(int major);
