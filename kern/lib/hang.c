// SPDX-License-Identifier: MIT
#include "kern/lib/hang.h"

#include "kern/lib/machine.h"

#define SECONDS     20
#define SECONDS_MAX 3600

uint64 hang_limit;
uint64 hang_excuses;

void hang_init(void) {
  uint64 fallback = bootarg_flag("gdb") ? 0 : SECONDS;  // there harts may stand still alone
  hang_limit = bootarg_number("hang", fallback, 0, SECONDS_MAX) * machine.timebase;
}
