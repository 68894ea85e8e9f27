// SPDX-License-Identifier: MIT
//
// Causes of exceptions, in words.  Their numbers are in csr.h.
#pragma once

#include "kern/lib/types.h"

// Return what the exception of that scause is (privileged 4.1.8).  Never null.
const char *exception_name(uint64 scause);
