// SPDX-License-Identifier: MIT
//
// The words of a command.  A null pointer stands for a word that is not there.
//
//   ACCESS   how to access one byte: read or write
//   TRAP     how a bad sp is found:
//              break       ebreak
//              load        a load from address 0
//              store       a store at sp
//              interrupt   the next interrupt
//              sink        interrupts, sp 16 bytes lower at each
//   SP       a place, perhaps with +N or -N behind it:
//              null        address 0
//              user        the user's stack pointer
//              text        code of the kernel
//              direct      a page of the direct map
//              other       the middle of another thread's stack
//              odd         8 bytes above the middle of the running stack, no multiple of 16
//              lo, hi      the bounds of the running stack
//              here        sp, the lowest byte in use of the running stack
//              a number    that address
#pragma once

#include "kern/lib/abi.h"
#include "kern/lib/types.h"

// Return whether the word is s.
bool word_is(const char *word, const char *s);

// Return the number that the word is, or fallback.
uint64 word_number(const char *word, uint64 fallback);

// Return the place that a word SP names, 0 for none.  Cuts the word at its sign.
uint64 word_sp(char *word);

// Access the byte at address as a word ACCESS says; without one, read it.
void word_access(const char *word, uint64 address);

// Find a live stack, of process pid unless that is 0, which is neither the running one nor the one
// above, whose guard belongs to the running one too.  Returns whether there is one.
bool other_stack(struct stack_info *info, uint64 pid);
