// SPDX-License-Identifier: MIT
//
// sbrk, and copies on write.

#include "user/usertests/tests.h"

#define FAILED ((char *)-1)
#define MIB    (1 << 20)

static uint64 free_bytes(void) {
  struct memory_info m;
  check(meminfo(&m) == 0);
  return m.free;
}

static void touch(char *from, uint64 bytes, char c) {
  for (uint64 i = 0; i < bytes; i += PAGE_SIZE)
    from[i] = c;
}

static void read_byte(uint64 address) {
  (void)*(volatile char *)address;
}

static void sbrk_steps(void) {
  char *a = sbrk(0);
  for (int i = 0; i < 5000; i++) {
    check(sbrk(1) == a + i);
    check(a[i] == 0);
    a[i] = 1;
  }
  check(sbrk(-5000) == a + 5000 && sbrk(0) == a);
}

static void sbrk_zero(void) {
  char *a = sbrk(16 * PAGE_SIZE);
  memset(a, 0xff, 16 * PAGE_SIZE);
  check(sbrk(-16 * PAGE_SIZE) == a + 16 * PAGE_SIZE);
  check(sbrk(16 * PAGE_SIZE) == a);
  for (int i = PAGE_SIZE; i < 16 * PAGE_SIZE; i++)
    check(a[i] == 0);
}

static void sbrk_limits(void) {
  char *a = sbrk(0);
  check(sbrk((int)0x80000004) == a && sbrk((int)0x80000000) == a);  // more than there is
  check(sbrk(-(int)(uint64)a - 1) == a && sbrklazy(-(int)(uint64)a - 1) == a);
  check(sbrk(-(int)(a - first_break) - 1) == FAILED && sbrk(-(int)(uint64)a) == FAILED);
  check(sbrk(0) == a);
  char c = first_break == a ? 1 : *first_break;
  check(c == 1 || c == 0);
}

// What is given back is gone.
static void sbrk_shrink(void) {
  char *a = sbrk(3 * PAGE_SIZE);
  touch(a, 3 * PAGE_SIZE, 5);
  check(sbrk(-2 * PAGE_SIZE) != FAILED);
  char *end = (char *)ROUND_UP((uint64)sbrk(0), PAGE_SIZE);
  check(a[0] == 5);
  check(run_child(read_byte, (uint64)end) == -1);
  check(run_child(read_byte, (uint64)end + PAGE_SIZE) == -1);
  check(run_child(read_byte, (uint64)end - 1) == 0);
}

static void sbrk_odd(void) {
  char *a = sbrk(10001);
  memset(a, 7, 10001);
  check(sbrk(-5000) == a + 10001);
  for (int i = 0; i < 5001; i++)
    check(a[i] == 7);
  check(sbrk(20000) == a + 5001);
  for (int i = 5001; i < 25001; i++)
    check(a[i] == 0);
  memset(a, 8, 25001);
  check(a[0] == 8 && a[25000] == 8);
}

// 100 MB work on a machine that has them; asking for more than it has fails and changes nothing.
static void sbrk_much(void) {
  uint64 available = free_bytes();
  char *a = sbrk(0);
  if (available > 104 * (uint64)MIB) {
    check(sbrk(100 * MIB) == a);
    touch(a, 100 * (uint64)MIB, 3);
    a[100 * MIB - 1] = 4;
    check(sbrk(-100 * MIB) == a + 100 * MIB);
  }
  if (available < 1000 * (uint64)MIB)
    check(sbrk(1000 * MIB) == FAILED);
  check(sbrk(0) == a);
}

static void take_all(void) {
  for (int step = 64 * MIB; step >= PAGE_SIZE; step /= 2)
    for (char *p; (p = sbrk(step)) != FAILED;)
      p[step - 1] = p[0] = 1;
}

static void take_all_child(uint64 unused) {
  (void)unused;
  take_all();
}

static void all_memory(void) {
  uint64 before = free_bytes();
  for (int i = 0; i < 3; i++)
    check(run_child(take_all_child, 0) == 0);
  check(free_bytes() + 64 * PAGE_SIZE >= before);
}

// With no memory left calls fail, and no process is killed.
static void starve(uint64 unused) {
  int p[2];
  struct stat st;
  (void)unused;
  take_all();
  check(sbrk(PAGE_SIZE) == FAILED);
  int pid = fork();
  if (pid == 0)
    exit(0);
  check(pid == -1 || wait(NULL) == pid);
  if (pipe(p) == 0) {
    close(p[0]);
    close(p[1]);
  }
  check(exec("/usertests", ARGS("usertests", "-l", "none")) == -1);
  int fd = open("/usertests", O_RDONLY);
  read(fd, scratch, 512);
  check(sbrk(-MIB) != FAILED);
  fd = open("/usertests", O_RDONLY);
  check(fd >= 0);
  check(fstat(fd, &st) == 0);
  check(read(fd, scratch, 512) == 512);
  while (sbrk(0) > first_break + 64 * MIB)
    check(sbrk(-64 * MIB) != FAILED);
  check(sbrk((int)(first_break - (char *)sbrk(0))) != FAILED);
  check(run_child(read_byte, (uint64)scratch) == 0);
}

static void no_memory(void) {
  check(run_child(starve, 0) == 0);
}

// --- copies on write ---

static char pages[16 * PAGE_SIZE];

static void see_and_change(uint64 depth) {
  touch(pages, sizeof(pages), (char)depth);
  if (depth > 1)
    check(run_child(see_and_change, depth - 1) == 0);
  for (size_t i = 0; i < sizeof(pages); i += PAGE_SIZE)
    check(pages[i] == (char)depth);
}

static void cow_chain(void) {
  check(run_child(see_and_change, 12) == 0);
  check(pages[0] == 0);
}

static void cow_parent_writes(void) {
  int p[2];
  char c;
  touch(pages, sizeof(pages), 1);
  check(pipe(p) == 0);
  if (must_fork() == 0) {
    check(read(p[0], &c, 1) == 1);
    for (size_t i = 0; i < sizeof(pages); i += PAGE_SIZE)
      check(pages[i] == 1);
    exit(0);
  }
  touch(pages, sizeof(pages), 2);
  check(write(p[1], "x", 1) == 1 && wait_status() == 0);
  for (size_t i = 0; i < sizeof(pages); i += PAGE_SIZE)
    check(pages[i] == 2);
}

// Results that the kernel writes are copied first, too.
static void cow_kernel_writes(void) {
  touch(pages, sizeof(pages), 1);
  if (must_fork() == 0) {
    int fd = open("/usertests", O_RDONLY);
    check(fd >= 0 && read(fd, pages, 8192) == 8192 && pages[0] == 0x7f);
    check(fstat(fd, (struct stat *)(pages + 3 * PAGE_SIZE)) == 0);
    check(pipe((int *)(pages + 4 * PAGE_SIZE)) == 0);
    exit(0);
  }
  check(wait((int *)(pages + 5 * PAGE_SIZE)) > 0 && *(int *)(pages + 5 * PAGE_SIZE) == 0);
  for (size_t i = 0; i < 5 * PAGE_SIZE; i += PAGE_SIZE)
    check(pages[i] == 1);
}

static void cow_family(void) {
  char *a = sbrk(MIB);
  check(a != FAILED);
  touch(a, MIB, 1);
  for (int i = 0; i < 20; i++)
    if (must_fork() == 0) {
      touch(a, MIB, (char)i);
      sleep(1);
      for (int k = 0; k < MIB; k += PAGE_SIZE)
        check(a[k] == (char)i);
      exit(0);
    }
  for (int i = 0; i < 20; i++)
    check(wait_status() == 0);
  for (int k = 0; k < MIB; k += PAGE_SIZE)
    check(a[k] == 1);
}

static void malloc_some(void) {
  void **list = NULL;
  for (int i = 1; i < 200; i++) {
    void **p = malloc((size_t)i * 100);
    check(p);
    memset(p, i, (size_t)i * 100);
    *p = list;
    list = p;
  }
  while (list) {
    void **next = *list;
    free(list);
    list = next;
  }
  check(!malloc(0x7fffffffffff));
}

const struct test memory_tests[] = {
    {"sbrk-steps", sbrk_steps, false},
    {"sbrk-zero", sbrk_zero, false},
    {"sbrk-limits", sbrk_limits, false},
    {"sbrk-shrink", sbrk_shrink, false},
    {"sbrk-odd", sbrk_odd, false},
    {"sbrk-much", sbrk_much, false},
    {"all-memory", all_memory, true},
    {"no-memory", no_memory, true},
    {"cow-chain", cow_chain, false},
    {"cow-parent-writes", cow_parent_writes, false},
    {"cow-kernel-writes", cow_kernel_writes, false},
    {"cow-family", cow_family, false},
    {"malloc", malloc_some, false},
    {NULL, NULL, false},
};
