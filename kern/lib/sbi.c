// SPDX-License-Identifier: MIT
//
// Calls to the firmware.
//
// A1. The legacy console call (SBI 5.2) is not probed: it must work before anything else does, and
//     does no harm when it is absent.
#include "kern/lib/sbi.h"

#include "kern/lib/errno.h"
#include "kern/lib/panic.h"

enum sbi_extension {
  EXT_LEGACY_PUTCHAR = 0x01,
  EXT_BASE = 0x10,
  EXT_TIME = 0x54494d45,
  EXT_IPI = 0x735049,
  EXT_RFENCE = 0x52464e43,
  EXT_HSM = 0x48534d,
  EXT_SRST = 0x53525354,
};

enum sbi_function { BASE_PROBE = 3, RFENCE_SFENCE_VMA = 1 };
enum sbi_reset { SRST_SHUTDOWN = 0 };

static bool has_hsm, has_srst;

struct sbi_result {
  int64 error;
  int64 value;
};

static struct sbi_result sbi_call(uint64 extension, uint64 function, uint64 arg0, uint64 arg1,
                                  uint64 arg2, uint64 arg3) {
  register uint64 a0 asm("a0") = arg0;
  register uint64 a1 asm("a1") = arg1;
  register uint64 a2 asm("a2") = arg2;
  register uint64 a3 asm("a3") = arg3;
  register uint64 a6 asm("a6") = function;
  register uint64 a7 asm("a7") = extension;
  asm volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a6), "r"(a7) : "memory");
  return (struct sbi_result){(int64)a0, (int64)a1};
}

static bool sbi_probe(uint64 extension) {
  struct sbi_result r = sbi_call(EXT_BASE, BASE_PROBE, extension, 0, 0, 0);
  return r.error == 0 && r.value != 0;
}

void sbi_init(void) {
  if (!sbi_probe(EXT_TIME) || !sbi_probe(EXT_IPI) || !sbi_probe(EXT_RFENCE))
    panic("the firmware must have the SBI extensions TIME, IPI and RFENCE");
  has_hsm = sbi_probe(EXT_HSM);
  has_srst = sbi_probe(EXT_SRST);
}

void sbi_putchar(char c) {
  sbi_call(EXT_LEGACY_PUTCHAR, 0, (uint8)c, 0, 0, 0);
}

void sbi_set_timer(uint64 time) {
  sbi_call(EXT_TIME, 0, time, 0, 0, 0);
}

void sbi_send_ipi(uint64 id) {
  sbi_call(EXT_IPI, 0, 1, id, 0, 0);
}

void sbi_remote_sfence(uint64 id) {
  // Size all ones means everything; with start 0 and size 0 some firmware fences nothing.
  struct sbi_result r = sbi_call(EXT_RFENCE, RFENCE_SFENCE_VMA, 1, id, 0, ~0UL);
  if (r.error)
    panic("firmware refused a remote fence of hart %lu: error %ld", id, r.error);
}

int sbi_hart_start(uint64 id, pa_t entry) {
  return has_hsm && sbi_call(EXT_HSM, 0, id, entry, 0, 0).error ? -EIO : 0;
}

void sbi_shutdown(bool failed) {
  if (has_srst)
    sbi_call(EXT_SRST, 0, SRST_SHUTDOWN, failed, 0, 0);
}
