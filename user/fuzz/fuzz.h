// SPDX-License-Identifier: MIT
//
// The parts of fuzz.
#pragma once

#include "user/user.h"

#define DIRECTORY "/fuzz.tmp"
#define TEXT_FD   2  // the console: what is said goes there
#define REPORT_FD 4  // a pipe: a record of each call goes there

// UNKNOWN stands for all numbers that no call has.
#define LAST(name, number) LAST_##name = number,
enum { SYSTEM_CALLS(LAST) UNKNOWN };
#undef LAST

// What a record says of a call.  A call that may not return is announced before it is made.
enum outcome { BEGUN, SUCCEEDED, FAILED, ANNOUNCED = 4 };
struct record {
  uint8 number;
  uint8 outcome;  // ANNOUNCED is added for a call that was
};

struct work {
  uint64 seed;
  bool in_turn;     // no process runs beside another, so that the results repeat
  bool verbose;     // print each call
  int depth;        // of forks below the worker
  int first, last;  // numbers of the processes that must not be killed
};
extern struct work work;

// Random numbers (user/fuzz/values.c).  Every process has a stream of its own.
void random_begin(uint64 stream);
uint64 random_next(void);
int random_below(int n);
bool one_in(int n);

// Make the worker's memory: pages, lazy pages, and then the break.
void values_begin(void);

// Give back, or take, so that there is as much of it as at the beginning.
void values_trim(void);

// Return an address for n bytes that the kernel reads or stores.
uint64 value_address(int n);
int value_count(void);
uint64 value_descriptor(void);
uint64 value_number(void);
uint64 value_path(void);
uint64 value_argv(void);

// Make that many calls (user/fuzz/calls.c).
void make_calls(int count);

// Make executables that are wrong, and run them (user/fuzz/programs.c).
void run_programs(int count);

// Begin a process below the worker.  Returns as fork does.  When no process may run beside another
// it returns to the parent only when the child has ended, and left a zombie.
int begin_child(void);

// Take all zombies there are.
void take_zombies(void);

// Make a call and report it.
long reported(int number, uint64 a, uint64 b, uint64 c, bool announce);

// Use all that the disk holds (user/fuzz/walk.c).  Returns 0.
int walk_disk(void);

// What there is of everything (user/fuzz/count.c).
struct counts {
  uint64 bytes, promised;
  long pages, processes, descriptors, inodes, blocks;
};
void count_all(struct counts *counts);

// Count again when what has ended has been given back.  Print what is missing, and return whether
// anything is.
bool counts_differ(const struct counts *before);

// Remove what the calls left in / and in DIRECTORY.
void clean_up(void);
