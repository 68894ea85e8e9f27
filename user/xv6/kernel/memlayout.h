// SPDX-License-Identifier: MIT
//
// Addresses that a program tries because it may not use them.
#pragma once

#include "riscv.h"

#define UART0      0x10000000L
#define VIRTIO0    0x10001000L
#define PLIC       0x0c000000L
#define KERNBASE   0x80000000L
#define PHYSTOP    (KERNBASE + 128 * 1024 * 1024)
#define TRAMPOLINE (MAXVA - PGSIZE)
#define TRAPFRAME  (TRAMPOLINE - PGSIZE)
