// SPDX-License-Identifier: MIT
//
// What the device tree says of this machine.  Filled once at boot by the pure parser in
// kern/lib/fdt.c; fixed after that.
#pragma once

#include "kern/lib/limits.h"
#include "kern/lib/types.h"

#define MACHINE_RANGES   16
#define MACHINE_VIRTIO   16
#define MACHINE_BOOTARGS 1024

struct pa_range {
  pa_t base;
  uint64 size;
};

#define MACHINE_NO_CONTEXT 0xffffffff

struct machine_hart {
  uint64 id;
  uint32 context;  // in S-mode at the PLIC; MACHINE_NO_CONTEXT: the PLIC does not serve it
};

struct virtio_slot {
  pa_t base;
  uint64 size;
  uint32 irq;
};

struct machine {
  struct pa_range ram[MACHINE_RANGES];  // memory nodes, in order of base, merged
  uint32 ram_count;
  // Firmware, /memreserve/, /reserved-memory, the tree itself.
  struct pa_range reserved[MACHINE_RANGES];
  uint32 reserved_count;
  // Harts that are not disabled and have an Sv39-capable MMU, sorted by number.
  struct machine_hart harts[HART_MAX];
  uint32 hart_count;
  bool has_sstc;         // every hart has it
  bool has_fpu;          // every hart has F and D
  uint64 timebase;       // ticks of time a second
  struct pa_range uart;  // size 0: none.  ns16550a
  uint32 uart_irq;
  uint32 uart_shift;     // reg-shift
  uint32 uart_width;     // reg-io-width, bytes
  struct pa_range plic;  // the first; size 0: none
  uint32 plic_count;
  uint32 plic_sources;   // riscv,ndev
  struct pa_range test;  // sifive,test0: exit codes; size 0: none
  struct virtio_slot virtio[MACHINE_VIRTIO];
  uint32 virtio_count;
  char bootargs[MACHINE_BOOTARGS];
};

extern struct machine machine;

// Return the first word, between blanks, of *rest and its length, and move *rest behind it; NULL
// when there is none.
const char *next_word(const char **rest, size_t *length);

// Return the value of NAME=value in the boot arguments, copied to buf (at most size bytes with the
// terminator), or NULL when it is absent or does not fit.
const char *bootarg_string(const char *name, char *buf, size_t size);

// Read a whole string as a number, decimal or 0x.  Returns whether it is one.
bool parse_number(const char *s, uint64 *value);

// Return the value of NAME=number in the boot arguments, or fallback when NAME does not stand
// there.  Panics when the value is not a number from min to max.
uint64 bootarg_number(const char *name, uint64 fallback, uint64 min, uint64 max);

// Return whether the bare word stands in the boot arguments.
bool bootarg_flag(const char *name);

// Panic if a word that is for bootarg_flag has a value.  Boot only.
void bootarg_check_flags(void);

// Return what follows the word -- in the boot arguments.  It belongs to the first process, and the
// functions above do not look there.
const char *bootarg_rest(void);
