// SPDX-License-Identifier: MIT
//
// Executables that are wrong: real ones in which a field of a header has a hostile value, or bits
// are flipped, or the end is missing.  exec refuses each or runs it, and it harms only itself.

#include "user/fuzz/fuzz.h"

#define HEADER      64
#define SEGMENT     56
#define MOST        8192
#define LONGEST_RUN 1  // ticks, since some never end
#define FILE        "fzp"

static char image[MOST];

// offset, size: of the fields of the header and of a segment.
static const uint8 header_fields[][2] = {{0, 4},  {4, 1},  {5, 1},  {6, 1},  {16, 2}, {18, 2},
                                         {20, 4}, {24, 8}, {32, 8}, {40, 8}, {48, 4}, {52, 2},
                                         {54, 2}, {56, 2}, {58, 2}, {60, 2}, {62, 2}};
static const uint8 segment_fields[][2] = {{0, 4},  {4, 4},  {8, 8},  {16, 8},
                                          {24, 8}, {32, 8}, {40, 8}, {48, 8}};

static uint64 hostile_field(uint64 now) {
  static const uint64 values[] = {
      0,           1,    4095,        4096,       0x3fffffffff, 1UL << 38, 1UL << 63, 0x3ffffff000,
      0xffffffff,  ~0UL, ~0UL - 4095, 0x80000000, 1UL << 37,    0x1000,    0x2000,    0x100000000,
      ~0UL - 8191, 2};
  switch (random_below(4)) {
  case 0:
    return now + (uint64)random_below(3) - 1;
  case 1:
    return now ^ 1UL << random_below(64);
  case 2:
    return now - 4096 + (uint64)random_below(3) * 4096;
  default:
    return values[random_below(ARRAY_SIZE(values))];
  }
}

static void spoil_field(char *at, int size) {
  uint64 value = 0;
  memcpy(&value, at, (size_t)size);
  value = hostile_field(value);
  memcpy(at, &value, (size_t)size);
}

static void flip_bits(int n) {
  for (int i = 1 << random_below(6); i > 0; i--)
    image[random_below(n)] ^= (char)(1 << random_below(8));
}

// Spoil the image of n bytes.  Returns how long it is then.
static int spoil(int n) {
  for (int i = random_below(3); i >= 0; i--) {
    const uint8 *field;
    switch (random_below(5)) {
    case 0:
      field = header_fields[random_below(ARRAY_SIZE(header_fields))];
      spoil_field(image + field[0], field[1]);
      break;
    case 1:
    case 2:
    case 3:
      field = segment_fields[random_below(ARRAY_SIZE(segment_fields))];
      spoil_field(image + HEADER + random_below(3) * SEGMENT + field[0], field[1]);
      break;
    default:
      flip_bits(n);
    }
  }
  return one_in(8) ? random_below(n) : n;
}

static int load(const char *path) {
  int fd = open(path, O_RDONLY);
  int n = read(fd, image, sizeof(image));
  close(fd);
  return n;
}

static bool store(int n) {
  int fd = open(FILE, O_CREATE | O_WRONLY | O_TRUNC);
  bool stored = fd >= 0 && write(fd, image, n) == n;
  close(fd);
  return stored;
}

// Run the file, in a child that another kills after a while.
static void run_file(void) {
  int pid = fork();
  if (pid == 0) {
    reported(SYS_exec, (uint64)FILE, (uint64)ARGS("fuzz", "of a program"), 0, true);
    exit(0);
  }
  int killer = fork();
  if (killer == 0) {
    sleep(LONGEST_RUN);
    kill(pid);
    exit(0);
  }
  while (pid > 0 && wait(NULL) != pid)
    ;
  kill(killer);
  while (wait(NULL) > 0)
    ;
}

void run_programs(int count) {
  while (count-- > 0) {
    int n = load(one_in(2) ? "/true" : "/echo");
    if (n < HEADER + 3 * SEGMENT)
      return;
    if (store(spoil(n)))
      run_file();
  }
  unlink(FILE);
}
