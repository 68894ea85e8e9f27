// SPDX-License-Identifier: MIT
#include "kern/dev/provoke.h"

void provoke_init(void) {
}
