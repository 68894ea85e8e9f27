// SPDX-License-Identifier: MIT
//
// Faults at known instructions.  Implemented by: kern/provoke/faults.S, which says what each does.
#pragma once

#include "kern/lib/types.h"

void provoke_here(void);
uint64 provoke_load(uint64 address);
void provoke_store(uint64 address);
void provoke_dma(const void *p, pa_t pa);
void provoke_count(uint64 n);
void provoke_calls(uint64 n);
void provoke_calls_mixed(uint64 n);
void provoke_use(uint64 n);
void provoke_secret(uint64 n);
_Noreturn void provoke_secret_far(uint64 sp, uint64 n);
_Noreturn void provoke_registers(uint64 sp, uint64 seed);
_Noreturn void provoke_frames(uint64 n);
_Noreturn void provoke_copy(uint64 sp, uva_t dst);
_Noreturn void provoke_sp_break(uint64 sp);
_Noreturn void provoke_sp_load(uint64 sp);
_Noreturn void provoke_sp_store(uint64 sp);
_Noreturn void provoke_sp_interrupt(uint64 sp);
_Noreturn void provoke_sp_sink(uint64 sp);
