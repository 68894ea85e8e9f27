// SPDX-License-Identifier: MIT
//
// The end of the machine.
#pragma once

#include "kern/lib/types.h"

// End the machine: code 0 is success, 1 to 255 a failure that QEMU's exit code shows.  By the
// device tree's sifive,test0 node ((code << 16) | 0x3333, 0x5555 for success), else by SRST, else
// this hart stops.  Any context once the node is mapped.
_Noreturn void power_off(uint32 code);

// [I] Where the sifive,test0 node is mapped, or null.  Set at boot; trap/last_resort.S, which
// cannot call power_off, reads it too.
extern volatile uint32 *power_device;
