// SPDX-License-Identifier: MIT
//
// Hostile arguments.
//
// Where the kernel may store, nothing of this program lies: that is the heap.  All other addresses
// begin where it must refuse to.

#include "user/fuzz/fuzz.h"
#include "vm/layout.h"

#define HEAP_PAGES 8
#define LAZY_PAGES 4

static uint64 state;
static uint64 heap;  // where this process's memory begins, just above the stack page

// --- Random numbers ---

// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014: SplitMix64.
uint64 random_next(void) {
  uint64 z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

void random_begin(uint64 stream) {
  state = work.seed;
  state = random_next() ^ stream * 0xd1342543de82ef95;
  random_next();
}

int random_below(int n) {
  return (int)(random_next() >> 33) % n;
}

bool one_in(int n) {
  return random_below(n) == 0;
}

// --- Addresses ---

static const uint64 special[] = {
    0,
    1,
    PAGE_SIZE - 1,
    PAGE_SIZE,  // text
    USER_END - PAGE_SIZE,
    USER_END - 8,
    USER_END - 1,
    USER_END,
    USER_END + 1,
    USER_END + PAGE_SIZE,
    0x80000000,
    IMAGE_PA,
    1UL << 39,  // not canonical
    1UL << 62,
    1UL << 63,
    DIRECT_BASE - 1,
    DIRECT_BASE,
    DIRECT_BASE + IMAGE_PA,
    SHADOW_BASE,
    DEVICE_BASE,
    VMALLOC_BASE,
    KSTACK_BASE,
    KSTACK_BASE + KSTACK_GUARD,
    KSTACK_BASE + KSTACK_SLOT - 8,
    IMAGE_BASE,
    IMAGE_BASE + PAGE_SIZE,
    ~0UL - PAGE_SIZE,
    ~0UL - 7,
    ~0UL,
};

void values_begin(void) {
  heap = ROUND_UP((uint64)sbrk(0), PAGE_SIZE);
  sbrk(HEAP_PAGES * PAGE_SIZE);
  sbrklazy(LAZY_PAGES * PAGE_SIZE);
}

static uint64 brk_now(void) {
  return (uint64)sbrk(0);
}

void values_trim(void) {
  long extra = (long)(brk_now() - heap) - (HEAP_PAGES + LAZY_PAGES) * PAGE_SIZE;
  if (extra < 0)
    sbrk((int)-extra);
  for (long step; extra > 0; extra -= step) {
    step = extra < 1 << 30 ? extra : 1 << 30;
    sbrk((int)-step);
  }
}

static uint64 near(uint64 at, int n) {
  switch (random_below(8)) {
  case 0:
    return at - 1;
  case 1:
    return at + 1;
  case 2:
    return at - (uint64)n;
  case 3:
    return at - (uint64)n + 1;
  case 4:
    return at - (uint64)random_below(16);
  default:
    return at;
  }
}

// The last bytes of memory, or those behind them.
static uint64 at_break(int n) {
  uint64 at = near(brk_now(), n);
  return at < heap ? heap : at;
}

static uint64 hostile(int n) {
  if (one_in(3))
    return at_break(n);
  if (one_in(8))
    return heap - 2 * PAGE_SIZE + (uint64)random_below(PAGE_SIZE);  // below the stack page
  if (one_in(8))
    return (uint64)special;  // constants
  return near(special[random_below(ARRAY_SIZE(special))], n);
}

// Somewhere in the heap, which may have shrunk since; the page can be own, shared or lazy.
static uint64 in_heap(void) {
  uint64 at = heap + (uint64)random_below(HEAP_PAGES + LAZY_PAGES) * PAGE_SIZE;
  return one_in(2) ? at : at + (uint64)random_below(PAGE_SIZE);
}

uint64 value_address(int n) {
  return one_in(3) ? hostile(n) : in_heap();
}

// --- Numbers ---

int value_count(void) {
  static const int counts[] = {
      -1, -2147483647 - 1, 2147483647, 65536, 0, 1, 2, 1023, 1024, 1025, 4095, 4096, 4097, 20000};
  return one_in(2) ? random_below(600) : counts[random_below(ARRAY_SIZE(counts))];
}

uint64 value_number(void) {
  static const uint64 numbers[] = {
      0,
      1,
      2,
      16,
      255,
      256,
      ~0UL,
      0x7fffffff,
      0x80000000,
      0x80000001,
      0xffffffff,
      0x100000000,
      1UL << 63,
      ~0UL >> 1,
      0xffff,
      0x10000,
      0xffffffff80000000,
  };
  return one_in(4) ? random_next() : numbers[random_below(ARRAY_SIZE(numbers))];
}

// Never one of those that this program itself needs.
uint64 value_descriptor(void) {
  if (one_in(12)) {
    uint64 fd = value_number();
    return (int)fd == TEXT_FD || (int)fd == REPORT_FD ? ~0UL : fd;
  }
  int fd = random_below(16);
  if (fd < 2 && !one_in(8))
    fd += 4;
  return fd == TEXT_FD || fd == REPORT_FD ? 4 + (uint64)fd : (uint64)fd;
}

// --- Strings ---

static const char *const names[] = {"fz0", "fz1", "fz2", "fz3", "fz4", "fz5"};
static const char *const befores[] = {"",           "",   "",     "",     "./",      "../fuzz.tmp/",
                                      "/fuzz.tmp/", "//", "fz4/", "fz5/", "fz4/../", "fz4/fz5/",
                                      "fz0/"};
static const char *const odd[] = {"", ".", "..", "/", "//", "/..", "./.", "fz4/.", "fz5/..", " "};

static int append(char *text, int at, const char *more) {
  int n = (int)strlen(more);
  memcpy(text + at, more, (size_t)n);
  return at + n;
}

// Put a path into text, which has room for 300 bytes.  Returns the length.
static int write_path(char *text) {
  int n = 0;
  if (one_in(12))
    return append(text, 0, odd[random_below(ARRAY_SIZE(odd))]);
  n = append(text, 0, befores[random_below(ARRAY_SIZE(befores))]);
  n = append(text, n, names[random_below(ARRAY_SIZE(names))]);
  if (one_in(10)) {
    static const short lengths[] = {13, 14, 15, 126, 127, 128, 129, 255};
    int whole = lengths[random_below(ARRAY_SIZE(lengths))];
    while (n < whole)
      text[n++] = 'x';
  } else if (one_in(40)) {
    for (int i = random_below(10); i >= 0; i--)
      text[n++] = (char)(1 + random_below(255));
  }
  return n;
}

// Can this process itself store n bytes there?
static bool is_mine(uint64 at, int n) {
  return at >= heap && at + (uint64)n <= brk_now();
}

// Put the string where it may end: anywhere, or with the last byte of memory, or without an end.
static uint64 place(const char *text, int n) {
  uint64 at = in_heap();
  if (one_in(6))
    at = brk_now() - (uint64)n - 1;
  if (!is_mine(at, n + 1))
    return at;
  memcpy((char *)at, text, (size_t)n);
  ((char *)at)[n] = 0;
  if (one_in(30)) {  // the last byte counts, too
    at = brk_now() - (uint64)n;
    if (is_mine(at, n))
      memcpy((char *)at, text, (size_t)n);
  }
  return at;
}

uint64 value_path(void) {
  char text[300];
  if (one_in(6))
    return hostile(1);
  int n = write_path(text);
  return place(text, n);
}

uint64 value_argv(void) {
  if (one_in(4))
    return hostile(8);
  int count = one_in(4) ? 30 + random_below(5) : random_below(4);
  int room = (count + 1) * 8;
  uint64 at = one_in(3) ? brk_now() - (uint64)room + 8 : in_heap();  // without its end
  if (one_in(6))
    at++;
  for (int i = 0; i <= count; i++) {
    uint64 word = one_in(6) ? hostile(1) : in_heap();
    if (i == count)
      word = 0;
    if (is_mine(at + (uint64)i * 8, 8))
      memcpy((char *)at + i * 8, &word, 8);
  }
  return at;
}
