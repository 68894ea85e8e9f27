// SPDX-License-Identifier: MIT
//
// The harts.
#include "kern/lib/hart.h"

struct hart harts[HART_MAX];
uint32 hart_count;
