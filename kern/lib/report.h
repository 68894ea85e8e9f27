// SPDX-License-Identifier: MIT
//
// Reports under way, so that a panic on one hart lets those on the others come out.
#pragma once

#include "kern/lib/types.h"

extern uint32 reports_pending;  // [a] harts between a fault and the end of its report
