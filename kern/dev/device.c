// SPDX-License-Identifier: MIT
#include "kern/dev/device.h"

#include "kern/lib/panic.h"

#define MAJORS 128

static const struct device none;
static const struct device *devices[MAJORS] = {[0 ... MAJORS - 1] = &none};  // [I] by major number

void device_register(int major, const struct device *d) {
  assert(major >= 0 && major < MAJORS && devices[major] == &none);
  devices[major] = d;
}

const struct device *device_find(int major) {
  return major >= 0 && major < MAJORS ? devices[major] : &none;
}
