// SPDX-License-Identifier: MIT
//
// The device crash: faults on request; device major 64.
//
// Reading it lists the tests.  Writing "NAME [ARGUMENTS]" runs that test in the kernel, in the
// writer's context.  Tests that Linux's lkdtm has too bear the same names.
#pragma once

#include "kern/lib/types.h"

// Register the device.  Boot hart.
void provoke_init(void);

// Run the test that the words name; a null pointer follows the last word.  Returns 0, or -EINVAL
// when there is no such test.
int provoke_run(char *words[]);
