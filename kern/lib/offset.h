// SPDX-License-Identifier: MIT
//
// Numbers that assembly needs from C.  A file named offsets.c is compiled, never linked: each
// OFFSET in it leaves a marked line in the compiler's output, which the Makefile turns into a
// #define of build/include/offsets.h.  So a field's offset is written down nowhere.
#pragma once

// Define name as value, a constant expression, for assembly.  Inside a function of offsets.c.
#define OFFSET(name, value) asm volatile("\n#OFFSET " #name " %0" : : "i"(value))
