// SPDX-License-Identifier: MIT
//
// Executables that are wrong, and rights of segments.

#include "user/usertests/tests.h"

struct elf_header {
  uint8 ident[16];
  uint16 type, machine;
  uint32 version;
  uint64 entry, phoff, shoff;
  uint32 flags;
  uint16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct segment {
  uint32 type, flags;
  uint64 offset, vaddr, paddr, filesz, memsz, align;
};

enum segment_flags { X = 1, W = 2, R = 4 };

// A whole program in one piece: headers, then code.
static struct program {
  struct elf_header header;
  struct segment segments[2];
  char code[64];
} program;

#define CODE_OFFSET offsetof(struct program, code)

// Make a program whose one segment, at 0x1000 with the given rights, holds the writer.
static void reset(uint32 flags) {
  uint64 size = (uint64)(writer_end - writer_begin);
  check(size <= sizeof(program.code));
  program = (struct program){
      .header = {.ident = {0x7f, 'E', 'L', 'F', 2, 1, 1},
                 .type = 2,
                 .machine = 243,
                 .version = 1,
                 .entry = 0x1000,
                 .phoff = sizeof(struct elf_header),
                 .ehsize = sizeof(struct elf_header),
                 .phentsize = sizeof(struct segment),
                 .phnum = 1},
      .segments = {{.type = 1,
                    .flags = flags,
                    .offset = CODE_OFFSET,
                    .vaddr = 0x1000,
                    .filesz = size,
                    .memsz = size,
                    .align = 16},
                   {.type = 1, .flags = R, .offset = CODE_OFFSET, .vaddr = 0x3000}},
  };
  memcpy(program.code, writer_begin, size);
}

#define EXEC_FAILED 99

// Run the first size bytes of the program.  Returns its status, or EXEC_FAILED.
static int run_part(int size) {
  make_file("program", &program, size);
  if (must_fork() == 0) {
    exec("program", ARGS("program"));
    exit(EXEC_FAILED);
  }
  int status = wait_status();
  unlink("program");
  return status;
}

static int run(void) {
  return run_part(sizeof(program));
}

static void rights(void) {
  reset(R | W | X);
  check(run() == 7);
  reset(R | X);
  check(run() == -1);
  reset(R | W);
  check(run() == -1);
  reset(R);
  check(run() == -1);
  reset(W | X);
  int status = run();
  check(status == 7 || status == -1 || status == EXEC_FAILED);
}

#define REFUSED(change)                                                                            \
  do {                                                                                             \
    reset(R | W | X);                                                                              \
    change;                                                                                        \
    int status_ = run();                                                                           \
    if (status_ != EXEC_FAILED)                                                                    \
      fail("%s: status %d", #change, status_);                                                     \
  } while (0)

static void bad_header(void) {
  REFUSED(program.header.ident[0] = 0);
  REFUSED(program.header.ident[3] = 'G');
  REFUSED(program.header.ident[4] = 1);
  REFUSED(program.header.ident[5] = 2);
  REFUSED(program.header.machine = 62);
  REFUSED(program.header.phoff = 100000);
  REFUSED(program.header.phoff = ~0UL);
  REFUSED(program.header.phoff = ~0UL - 16);
  REFUSED(program.header.phnum = 60000);
}

static void bad_segment(void) {
  REFUSED(program.segments[0].vaddr = 0x1010);
  REFUSED(program.segments[0].vaddr = USER_END);
  REFUSED(program.segments[0].vaddr = USER_END - 4096; program.segments[0].memsz = 8192);
  REFUSED(program.segments[0].vaddr = IMAGE_BASE);
  REFUSED(program.segments[0].vaddr = KSTACK_BASE);
  REFUSED(program.segments[0].vaddr = ~0UL - 4095; program.segments[0].memsz = 8192);
  REFUSED(program.segments[0].memsz = ~0UL);
  REFUSED(program.segments[0].memsz = ~0UL - 0x1000);
  REFUSED(program.segments[0].memsz = 1);
  REFUSED(program.segments[0].memsz = 1UL << 37);
  REFUSED(program.segments[0].offset = 1UL << 40);
  REFUSED(program.segments[0].offset = ~0UL - 8);
  REFUSED(program.segments[0].filesz = program.segments[0].memsz = 100000);
  REFUSED(program.header.phnum = 2; program.segments[1].vaddr = 0x1000;
          program.segments[1].memsz = 16);
  REFUSED(program.header.phnum = 2; program.segments[1].vaddr = 0x8000000000;
          program.segments[1].memsz = 16);
}

// No room is left for the guard and the stack.
static void bad_highest(void) {
  REFUSED(program.segments[0].vaddr = USER_END - 4096);
  REFUSED(program.segments[0].vaddr = USER_END - 8192);
}

static void cut_short(void) {
  for (int size = 0; size <= (int)CODE_OFFSET; size += 8) {
    reset(R | W | X);
    if (run_part(size) != EXEC_FAILED)
      fail("%d bytes were enough", size);
  }
}

// Wherever it begins, a program that goes wrong only harms itself.
static void bad_entry(void) {
  for (int i = 0; i < BAD_COUNT; i++) {
    reset(R | W | X);
    program.header.entry = bad_addresses[i];
    int status = run();
    check(status == EXEC_FAILED || status == -1);
  }
  reset(R | W | X);
  program.header.entry = 0x1001;
  check(run() == EXEC_FAILED);
}

static void empty_segment(void) {
  reset(R | W | X);
  program.header.phnum = 2;
  check(run() == 7);
  program.segments[1].type = 0x6474e551;  // not to be loaded, whatever it says
  program.segments[1].vaddr = 0x1001;
  program.segments[1].memsz = ~0UL;
  check(run() == 7);
}

static void text_file(void) {
  make_file("program", "echo hello\n", 11);
  check(exec("program", ARGS("program")) == -1);
  unlink("program");
}

// Segments in falling order, a gap, a zeroed rest.
static void order(void) {
  reset(R | W | X);
  program.header.phnum = 2;
  program.segments[1] = program.segments[0];
  program.segments[0].vaddr = 0x20000;
  program.segments[0].memsz = 0x5000;
  check(run() == 7);
  program.header.entry = 0x20000;
  check(run() == 7);
}

const struct test elf_tests[] = {
    {"elf-rights", rights, false},
    {"elf-header", bad_header, false},
    {"elf-segment", bad_segment, false},
    {"elf-highest", bad_highest, false},
    {"elf-cut-short", cut_short, false},
    {"elf-entry", bad_entry, false},
    {"elf-empty-segment", empty_segment, false},
    {"elf-order", order, false},
    {"elf-text-file", text_file, false},
    {NULL, NULL, false},
};
