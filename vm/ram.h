// SPDX-License-Identifier: MIT
//
// Usable RAM at boot; boot_alloc, which takes from it, is declared in vm/page.h.
#pragma once

#include "kern/lib/types.h"

// Find the first run of usable pages at or above *start, which gets where it starts.  Returns its
// end, or 0 when there is none.
pa_t ram_next(pa_t *start);

// From here on the page allocator has what is left: boot_alloc panics.
void ram_close(void);
