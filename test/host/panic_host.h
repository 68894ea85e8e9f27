// SPDX-License-Identifier: MIT
//
// The kernel's panic() on the host: it ends the test, whatever its other threads do.
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "kern/lib/panic.h"

_Noreturn void panic(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  vfprintf(stderr, fmt, args);
  fputc('\n', stderr);
  _exit(1);
}
