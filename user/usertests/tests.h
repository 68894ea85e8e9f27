// SPDX-License-Identifier: MIT
//
// What the parts of usertests share.  A test is a function; it runs in a process and a directory of
// its own, and succeeds by returning.  It leaves the directory empty and no child behind.
#pragma once

#include "user/user.h"
#include "vm/layout.h"

struct test {
  const char *name;
  void (*run)(void);
  bool slow;  // left out with -q
};

// One table a file, ended by an entry without a name.
extern const struct test memory_tests[], lazy_tests[], promise_tests[], pointer_tests[],
    fault_tests[], process_tests[], kill_tests[], exec_tests[], elf_tests[], pipe_tests[],
    file_tests[], descriptor_tests[], directory_tests[], race_tests[], disk_tests[],
    register_tests[], info_tests[], alloc_tests[], account_tests[], edge_tests[];

#define check(condition)                                                                           \
  ((condition) ? (void)0 : fail("%s, line %d: %s", __func__, __LINE__, #condition))

// Print the message and end this test, or this child of it.
_Noreturn void fail(const char *format, ...) __attribute__((format(__printf__, 1, 2)));

// Run f(argument) in a child and return its status: 0 if it returns, -1 if it is killed.
int run_child(void (*f)(uint64), uint64 argument);

// Fork, or fail the test.
int must_fork(void);

// Wait for one child and return its status.
int wait_status(void);

// Return whether the kernel was booted with overcommit: fork promises no memory.
bool overcommits(void);

// Make the file with n bytes of data, or fail.  Read it, at most n bytes; returns how many.
void make_file(const char *path, const void *data, int n);
int load_file(const char *path, void *data, int n);

// Return a string of the given length, of copies of c.
char *long_string(char c, int length);

// Run the edge tests and print each as a row of a table.
void list_edges(void);

// What this process had when it began.
extern char *first_break;
extern char *first_stack;

#define SCRATCH_SIZE 20480
extern char scratch[SCRATCH_SIZE];  // for any test

// Addresses that no program may use.
#define BAD_COUNT 16
extern const uint64 bad_addresses[BAD_COUNT];

// user/usertests/registers.S
// Load every register with a value made from seed and make the system call (none if its number is
// negative), times times.  Return the number of the first register that has changed, or 0.
long registers_kept(long number, long times, long seed);
// The same for f0 to f31 and fcsr, whose number is 32; returns -1 if nothing has changed.
long floats_kept(long number, long times, long seed);
// Load f0 to f31 from seed; tell whether they hold what seed gives, by the same return values.
void floats_set(long seed);
long floats_check(long seed);
// Load-reserve the word, make the call, and tell whether the word can then be stored conditionally.
long reservation_kept(long number, long *word);

// A program: it writes to the first word of its own text, and exits with 7.
extern const char writer_begin[], writer_end[];
