// SPDX-License-Identifier: MIT
//
// The device crash: faults on request; device major 2.
//
// Reading it lists the tests.  Writing "NAME [ARGUMENTS]" runs that test in the kernel, in the
// writer's context.  Tests that Linux's lkdtm has too bear the same names.
#pragma once

// Register the device.  Boot hart.
void provoke_init(void);

// The tests of kern/dev/provoke_life.c.
void provoke_stack_irq(char *words[]);
void provoke_reuse_stack(char *words[]);
void provoke_stack_secret(char *words[]);
void provoke_stray_secret(char *words[]);

// The test BENCH_STACK.  Implemented by: kern/dev/provoke_bench.c.
void provoke_bench_stack(char *words[]);
