// SPDX-License-Identifier: MIT
//
// Allocations that fail.  The kernel is told to fail the n-th one that a call makes, for every n:
// the call must fail, undo what it has done, and succeed when nothing fails.

#include "user/usertests/tests.h"

enum { FAILURES_MAX = 500 };  // a call that makes more allocations has gone wild

static int crash;
static int ends[2];

static struct memory_info memory(void) {
  struct memory_info m;
  check(meminfo(&m) == 0);
  return m;
}

static void run_test(const char *text) {
  int length = (int)strlen(text);
  check(write(crash, text, length) == length);
}

// Have the kernel fail the n-th allocation of this process from now on; 0: none.
static void fail_alloc(int n) {
  char text[32];
  snprintf(text, sizeof(text), "FAIL_ALLOC %d", n);
  run_test(text);
}

// Stacks of dead threads may not be in a cache yet: give them time.
static void check_nothing_lost(const struct memory_info *before) {
  struct memory_info now;
  for (int i = 0; i < 100; i++) {
    now = memory();
    if (now.free == before->free && now.stacks - now.cached == before->stacks - before->cached)
      return;
    sleep(1);
  }
  fail("%lu bytes and %lu stacks are missing", before->free - now.free,
       now.stacks - now.cached - before->stacks + before->cached);
}

// A call, what undoes it if it succeeds, and whether it may succeed though an allocation fails.
struct call {
  int (*make)(void);
  void (*undo)(int result);
  bool copes;
};

// Fail each allocation of the call in turn.
static void fail_each(struct call call) {
  if ((crash = open("/crash", O_RDWR)) < 0)
    return;  // a kernel without the device
  call.undo(call.make());
  int n = 1;
  for (bool failed = true; failed; n++) {
    check(n < FAILURES_MAX);
    struct memory_info before = memory();
    fail_alloc(n);
    int result = call.make();
    fail_alloc(0);
    failed = memory().refused > before.refused;
    check((result < 0) == failed || (call.copes && failed));
    if (result >= 0)
      call.undo(result);
    check_nothing_lost(&before);
  }
  check(n > 2);
  close(crash);
}

static int do_fork(void) {
  int pid = fork();
  if (pid == 0)
    exit(0);
  return pid;
}

static void undo_fork(int pid) {
  int status;
  check(wait(&status) == pid && status == 0);
}

static int do_pipe(void) {
  return pipe(ends);
}

static void undo_pipe(int unused) {
  (void)unused;
  check(close(ends[0]) == 0 && close(ends[1]) == 0);
}

static int do_open(void) {
  return open("new", O_CREATE | O_RDWR);
}

static void undo_open(int fd) {
  check(close(fd) == 0 && unlink("new") == 0);
}

static int do_mkdir(void) {
  return mkdir("new");
}

static void undo_mkdir(int unused) {
  (void)unused;
  check(unlink("new") == 0);
}

static int do_sbrk(void) {
  return sbrk(2000 * PAGE_SIZE) == (char *)-1 ? -1 : 0;
}

static void undo_sbrk(int unused) {
  (void)unused;
  check(sbrk(-2000 * PAGE_SIZE) != (char *)-1);
}

// The caller does not see that a kernel thread cannot be made; but the kernel counts what it
// refuses.
static int do_thread(void) {
  uint64 refused = memory().refused;
  run_test("MAKE_THREAD");
  return memory().refused > refused ? -1 : 0;
}

static void undo_nothing(int unused) {
  (void)unused;
}

// A failed exec leaves the program as it is; a new program may find that it starts with too little.
static int do_exec(void) {
  return exec("/true", ARGS("true", "and", "words"));
}

static void try_exec(uint64 n) {
  fail_alloc((int)n);
  check(do_exec() == -1);
  fail_alloc(0);
  exit(77);
}

static void alloc_exec(void) {
  if ((crash = open("/crash", O_RDWR)) < 0)
    return;
  check(run_child(try_exec, 0) == 0);
  int n = 1;
  for (bool failed = true; failed; n++) {
    check(n < FAILURES_MAX);
    struct memory_info before = memory();
    int status = run_child(try_exec, (uint64)n);
    failed = memory().refused > before.refused;
    check(status == (failed ? 77 : 0));
    check_nothing_lost(&before);
  }
  fail_alloc(0);  // the last child left a failure, for whatever thread has its place
  check(n > 2);
  close(crash);
}

// With several page tables to copy, and with floating-point registers.  With overcommit what comes
// after fork takes pages, too.
static void alloc_fork(void) {
  if (overcommits())
    return;
  check(sbrk(5 << 20) != (char *)-1);
  floats_set(1);
  fail_each((struct call){do_fork, undo_fork, false});
}

static void alloc_pipe(void) {
  fail_each((struct call){do_pipe, undo_pipe, true});
}

static void alloc_open(void) {
  fail_each((struct call){do_open, undo_open, false});
}

static void alloc_mkdir(void) {
  fail_each((struct call){do_mkdir, undo_mkdir, false});
}

static void alloc_sbrk(void) {
  fail_each((struct call){do_sbrk, undo_sbrk, false});
}

static void alloc_thread(void) {
  fail_each((struct call){do_thread, undo_nothing, false});
}

// --- stacks that rest in caches and lists --------------------------------------------------------

// Have n children at once, and let them all exit.
static void crowd(int n) {
  int p[2];
  char c;
  check(pipe(p) == 0);
  for (int i = 0; i < n; i++)
    if (must_fork() == 0) {
      close(p[1]);
      exit(read(p[0], &c, 1));
    }
  close(p[1]);
  for (int i = 0; i < n; i++)
    check(wait_status() == 0);
  close(p[0]);
}

// Take all memory: all that is free, except for page tables and what a process takes.
static void take_all(uint64 free) {
  uint64 taken = sbrk_all();
  check(taken + taken / 512 + 80 * PAGE_SIZE >= free);
}

// Before memory is refused, caches and lazily unmapped stacks have been given back.
static void alloc_full(void) {
  crowd(40);
  struct memory_info before = memory(), after;
  check(before.cached + before.lazy > 0 && before.unmapped >= before.lazy);
  crowd(40);
  check(run_child(take_all, before.free) == 0);
  after = memory();
  check(after.refused > before.refused && after.lazy <= 1);  // the child's own
  check(after.fences > before.fences && after.mapped > before.mapped);
}

static void tell_count(uint64 fd) {
  long pages = (long)(sbrk_all() / PAGE_SIZE);
  check(write((int)fd, &pages, sizeof(pages)) == sizeof(pages));
}

// Count the pages that a new process can take.
static long count_pages(void) {
  long pages;
  check(pipe(ends) == 0);
  check(run_child(tell_count, (uint64)ends[1]) == 0);
  check(read(ends[0], &pages, sizeof(pages)) == sizeof(pages));
  undo_pipe(0);
  return pages;
}

// Whatever ran before, a process gets the same amount of memory, to the page.
static void alloc_same(void) {
  long first = count_pages();
  for (int i = 1; i <= 20; i++) {
    crowd(2 * i);
    sleep(1);  // until the last thread is gone, too
    check(count_pages() == first);
  }
}

// Stacks come and go in interrupt handlers, at every moment of processes that come and go.
static void alloc_interrupts(void) {
  if ((crash = open("/crash", O_RDWR)) < 0)
    return;
  struct memory_info before = memory();
  for (int i = 0; i < 3; i++)
    if (must_fork() == 0) {
      for (int k = 0; k < 20; k++)
        crowd(10);
      exit(0);
    }
  run_test("STACK_IRQ 600");
  for (int i = 0; i < 3; i++)
    check(wait_status() == 0);
  check(memory().fences > before.fences);
  check_nothing_lost(&before);
  close(crash);
}

// A thousand processes, many alive at a time, cost the other harts five fences at most.
static void alloc_fences(void) {
  struct memory_info before = memory(), after;
  for (int i = 0; i < 10; i++)
    crowd(100);
  after = memory();
  check(after.mapped + after.reused - before.mapped - before.reused >= 1000);
  check(after.fences - before.fences <= 5);
}

static void leave_failure(uint64 n) {
  fail_alloc((int)n);
}

static void take_pages(uint64 n) {
  check(sbrk((int)(n * PAGE_SIZE)) != (char *)-1);
}

// A failure that a process asked for ends with it, and does not hit one that gets its memory.
static void alloc_gone(void) {
  if ((crash = open("/crash", O_RDWR)) < 0)
    return;
  for (uint64 n = 2; n <= 8; n++) {
    check(run_child(leave_failure, n) == 0);
    for (int i = 0; i < 4; i++)
      check(run_child(take_pages, 10) == 0);
  }
  close(crash);
}

static char data[16 * PAGE_SIZE];

static void touch(char *from, uint64 bytes) {
  for (uint64 i = 0; i < bytes; i += PAGE_SIZE)
    from[i]++;
}

// Use all that a program has, while every allocation fails.  Pages that fork shared are copied.
static void use_all(char *heap, uint64 bytes) {
  uint64 refused = memory().refused;
  fail_alloc(1);
  touch(heap, bytes);
  touch(data, sizeof(data));
  touch(first_stack, PAGE_SIZE);
  floats_set(7);
  fail_alloc(0);
  check(floats_check(7) == -1 && memory().refused == refused);
}

// What a program was given is there when it is first used.
static void alloc_promised(void) {
  if (overcommits() || (crash = open("/crash", O_RDWR)) < 0)
    return;
  char *heap = sbrk(5 << 20);
  check(heap != (char *)-1);
  if (must_fork() == 0) {
    use_all(heap, 5 << 20);
    exit(0);
  }
  check(wait_status() == 0);
  use_all(heap, 5 << 20);
  close(crash);
}

const struct test alloc_tests[] = {
    {"alloc-fork", alloc_fork, false},         {"alloc-exec", alloc_exec, false},
    {"alloc-pipe", alloc_pipe, false},         {"alloc-open", alloc_open, false},
    {"alloc-mkdir", alloc_mkdir, false},       {"alloc-sbrk", alloc_sbrk, false},
    {"alloc-thread", alloc_thread, false},     {"alloc-gone", alloc_gone, false},
    {"alloc-promised", alloc_promised, false}, {"alloc-same", alloc_same, false},
    {"alloc-full", alloc_full, false},         {"alloc-interrupts", alloc_interrupts, false},
    {"alloc-fences", alloc_fences, false},     {NULL, NULL, false},
};
