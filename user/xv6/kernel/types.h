// SPDX-License-Identifier: MIT
//
// The headers in this folder, and user/xv6/user/user.h, are for the sources of programs written for
// xv6-riscv: the names they use, with the numbers of kern/lib/abi.h, and no other names, since such
// a program may use any other for its own.
#pragma once

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;

typedef unsigned char uint8;
typedef unsigned short uint16;
typedef unsigned int uint32;
typedef unsigned long uint64;

typedef uint64 pde_t;
