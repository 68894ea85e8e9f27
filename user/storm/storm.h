// SPDX-License-Identifier: MIT
//
// What the parts of storm share.
#pragma once

#include "user/user.h"

// One thing to do with little stack.  Both run in a process and a directory of its own.
struct deed {
  const char *name;
  void (*prepare)(void);  // with all of the stack; may be null
  void (*run)(void);
};

extern const struct deed deeds[];  // ended by an entry without a name
