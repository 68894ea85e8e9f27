// SPDX-License-Identifier: MIT
#include "kern/lib/hart.h"

struct hart harts[HART_MAX];
uint32 hart_count;
