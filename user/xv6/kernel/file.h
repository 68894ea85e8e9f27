// SPDX-License-Identifier: MIT
//
// Of files in the kernel a program knows only their devices.
#pragma once

#define CONSOLE 1

#define major(dev)  ((dev) >> 16 & 0xFFFF)
#define minor(dev)  ((dev)&0xFFFF)
#define mkdev(m, n) ((uint)((m) << 16 | (n)))
