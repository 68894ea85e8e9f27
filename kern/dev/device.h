// SPDX-License-Identifier: MIT
//
// Character devices, found by the major number that mknod gave.  Those of our own have numbers from
// 64 up; those below are what disk images from elsewhere take them for.
#pragma once

#include "kern/lib/types.h"

struct device {
  // Transfer at most n bytes at user address; offset is how many were read through this open file.
  // Return the count, 0 at the end of the file, which lasts (but for the console's), or negative
  // errno.
  int64 (*read)(uva_t dst, uint64 n, uint64 offset);
  int64 (*write)(uva_t src, uint64 n, uint64 offset);
};

// Boot only.
void device_register(int major, const struct device *d);

// Return the device or NULL.
const struct device *device_find(int major);
