// SPDX-License-Identifier: MIT
//
// What a host test expects: the first thing that does not hold is named, and ends it.
#pragma once

#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond)                                                                                \
  do {                                                                                             \
    if (!(cond)) {                                                                                 \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                   \
      exit(1);                                                                                     \
    }                                                                                              \
  } while (0)
