// SPDX-License-Identifier: MIT
//
// The formatter.  Pure: no lock, no memory but the stack.
#pragma once

#include <stdarg.h>

#include "kern/lib/types.h"

struct format_out {
  void (*put)(struct format_out *out, char c);
};

// Put fmt, its conversions (kern/lib/print.h lists them) replaced by args.
void format(struct format_out *out, const char *fmt, va_list args);
