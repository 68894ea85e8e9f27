// SPDX-License-Identifier: MIT
//
// Calls to the firmware.  RISC-V SBI specification 1.0.
#pragma once

#include "kern/lib/types.h"

// Probe the extensions, and panic when one is missing that the kernel needs.  Boot hart, once,
// before the other calls.
void sbi_init(void);

// Print one byte by the legacy console call (SBI 5.2).  Works before sbi_init, in any context.
void sbi_putchar(char c);

// Program the timer of this hart to interrupt at time (SBI 6.1).
void sbi_set_timer(uint64 time);

// Send a supervisor software interrupt to hart id (SBI 7.1).
void sbi_send_ipi(uint64 id);

// Make hart id execute sfence.vma for all addresses and ASIDs, and wait for it (SBI 8.2).
void sbi_remote_sfence(uint64 id);

// Start hart id at physical address entry (SBI 9.1).  Returns 0 or -EIO.
// Firmware without HSM has sent every hart to the kernel's first byte already; then 0 too.
int sbi_hart_start(uint64 id, pa_t entry);

// Switch the machine off by SRST (SBI 10).  Returns only when that extension is absent.
void sbi_shutdown(bool failed);
