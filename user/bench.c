// SPDX-License-Identifier: MIT
//
// bench [name...]: instructions that operations of the kernel take.
//
// The counter is the hart's own and counts every mode, so run it on one hart, with -icount shift=0
// for figures that repeat.  The cost of the measuring loop is measured and subtracted.  While a
// hart waits for a device QEMU lets the counter run on, so `write` takes the least of several
// rounds, and its figure still says more about the disk than about the kernel.

#include "user/user.h"

#define CHUNK     4096
#define FILE_SIZE 65536
#define NOT_HERE  (~0UL)  // instead of a figure: this kernel or machine lacks what it needs

static char buf[CHUNK];

static uint64 instructions(void) {
  uint64 n;
  __asm__ volatile("rdinstret %0" : "=r"(n));
  return n;
}

static _Noreturn void fail(const char *what) {
  die("bench: %s failed", what);
}

static void null_call(void) {
  register long number __asm__("a7") = SYS_getpid;
  register long result __asm__("a0");
  __asm__ volatile("ecall" : "=r"(result) : "r"(number) : "memory");
}

static void nothing(void) {
  __asm__ volatile("" ::: "memory");
}

// Return the instructions that n calls of f take, without those of the loop.
#define MEASURE(n, f)                                                                              \
  ({                                                                                               \
    uint64 start = instructions();                                                                 \
    for (int i = 0; i < (n); i++)                                                                  \
      nothing();                                                                                   \
    uint64 middle = instructions();                                                                \
    for (int i = 0; i < (n); i++)                                                                  \
      f();                                                                                         \
    uint64 end = instructions();                                                                   \
    (end - middle) - (middle - start);                                                             \
  })

static uint64 bench_null(void) {
  return MEASURE(10000, null_call) / 10000;
}

static void fork_exit_wait(void) {
  int pid = fork();
  if (pid == 0)
    exit(0);
  if (pid < 0 || wait(NULL) != pid)
    fail("fork");
}

static uint64 bench_fork(void) {
  fork_exit_wait();  // by now the children that stay have run, and sleep
  return MEASURE(200, fork_exit_wait) / 200;
}

static void fork_exec_wait(void) {
  int pid = fork(), status;
  if (pid == 0) {
    exec("/true", ARGS("true"));
    exit(1);
  }
  if (pid < 0 || wait(&status) != pid || status != 0)
    fail("exec");
}

static uint64 bench_exec(void) {
  fork_exec_wait();  // now the program is in the cache
  return MEASURE(100, fork_exec_wait) / 100;
}

static int to_child[2], to_parent[2];

static void ping(void) {
  char c = 0;
  if (write(to_child[1], &c, 1) != 1 || read(to_parent[0], &c, 1) != 1)
    fail("ping");
}

static _Noreturn void answer(void) {
  char c;
  close(to_child[1]);
  while (read(to_child[0], &c, 1) == 1)
    write(to_parent[1], &c, 1);
  exit(0);
}

static uint64 bench_pingpong(void) {
  if (pipe(to_child) < 0 || pipe(to_parent) < 0)
    fail("pipe");
  int pid = fork();
  if (pid < 0)
    fail("fork");
  if (pid == 0)
    answer();
  ping();
  uint64 total = MEASURE(1000, ping);
  close(to_child[1]);
  wait(NULL);
  close(to_child[0]);
  close(to_parent[0]);
  close(to_parent[1]);
  return total / 1000;
}

static _Noreturn void write_pipe(int fd) {
  for (int i = 0; i < 256; i++)
    if (write(fd, buf, CHUNK) != CHUNK)
      exit(1);
  exit(0);
}

static uint64 bench_pipe(void) {
  int p[2], n, status, total = 0;
  if (pipe(p) < 0)
    fail("pipe");
  uint64 start = instructions();
  int pid = fork();
  if (pid < 0)
    fail("fork");
  if (pid == 0)
    write_pipe(p[1]);
  close(p[1]);
  while ((n = read(p[0], buf, CHUNK)) > 0)
    total += n;
  wait(&status);
  uint64 used = instructions() - start;
  close(p[0]);
  if (status != 0 || total != 256 * CHUNK)
    fail("pipe");
  return used / ((uint64)total / 1024);
}

static void open_close(void) {
  int fd = open("/bench.tmp", O_RDWR);
  if (fd < 0)
    fail("open");
  close(fd);
}

static void read_file(void) {
  int fd = open("/bench.tmp", O_RDONLY), n, total = 0;
  while ((n = read(fd, buf, CHUNK)) > 0)
    total += n;
  close(fd);
  if (total != FILE_SIZE)
    fail("read");
}

static void write_file(void) {
  int fd = open("/bench.tmp", O_WRONLY);
  for (int i = 0; i < FILE_SIZE / CHUNK; i++)
    if (write(fd, buf, CHUNK) != CHUNK)
      fail("write");
  close(fd);
}

static void make_file(void) {
  int fd = open("/bench.tmp", O_CREATE | O_RDWR);
  if (fd < 0)
    fail("create");
  close(fd);
  write_file();
}

// Return the least that use takes per KiB in several rounds, without opening and closing.
static uint64 bench_file(void (*use)(void)) {
  uint64 least = ~0UL;
  make_file();
  use();
  uint64 opening = MEASURE(20, open_close) / 20;
  for (int round = 0; round < 20; round++) {
    uint64 used = MEASURE(1, use);
    least = used < least ? used : least;
  }
  unlink("/bench.tmp");
  return (least - opening) / (FILE_SIZE / 1024);
}

static uint64 bench_read(void) {
  return bench_file(read_file);
}

static uint64 bench_write(void) {
  return bench_file(write_file);
}

static int held[2];  // a pipe: children live until both ends are closed

static void release_children(void) {
  close(held[0]);
  close(held[1]);
  while (wait(NULL) >= 0)
    ;
}

static _Noreturn void live(void) {
  close(held[1]);
  read(held[0], buf, 1);
  exit(0);
}

// Fork n children that live until release_children.  Returns whether there is room for them.
static bool hold_children(int n) {
  if (pipe(held) < 0)
    fail("pipe");
  for (int i = 0; i < n; i++) {
    int pid = fork();
    if (pid == 0)
      live();
    if (pid < 0) {
      release_children();
      return false;
    }
  }
  return true;
}

static uint64 fences(void) {
  struct memory_info m;
  if (meminfo(&m) < 0)
    fail("meminfo");
  return m.fences;
}

// A thousand forks one after another, whose stacks come from the cache.
static uint64 bench_fences(void) {
  uint64 before = fences();
  for (int i = 0; i < 1000; i++)
    fork_exit_wait();
  return fences() - before;
}

// A thousand that live at once, so that their stacks are mapped and unmapped.
static uint64 bench_fences_many(void) {
  uint64 before = fences();
  if (!hold_children(1000))
    return NOT_HERE;
  release_children();
  return fences() - before;
}

// The kernel prints the figures itself.
static uint64 bench_stack(void) {
  static const char test[] = "BENCH_STACK";
  int fd = open("/crash", O_WRONLY);
  if (fd < 0)
    return NOT_HERE;
  if (write(fd, test, sizeof(test) - 1) < 0)
    fail(test);
  close(fd);
  return 0;
}

// Pages of the kernel stacks of all processes, while many sleep.
static uint64 bench_pages(void) {
  int room = stackinfo(NULL, 0);
  struct stack_info *s = malloc((size_t)room * sizeof(*s));
  int n = s ? stackinfo(s, room) : -1;
  if (n < 0 || n > room)
    fail("stackinfo");
  uint64 pages = 0;
  while (n-- > 0)
    pages += s[n].pid ? (uint64)s[n].pages : 0;
  free(s);
  return pages;
}

#define PROCESSES "more processes: boot with nproc=10100 and 1 GiB"

static const struct bench {
  const char *name, *what, *unit;  // unit null: it prints its figures itself
  uint64 (*run)(void);
  int living;         // processes that sleep meanwhile
  const char *needs;  // what some kernels or machines lack, or null
} benches[] = {
    {"null", "null system call", "instructions", bench_null, 0, NULL},
    {"fork", "fork, exit, wait", "instructions", bench_fork, 0, NULL},
    {"exec", "fork, exec, exit, wait", "instructions", bench_exec, 0, NULL},
    {"pingpong", "a byte through a pipe and one back", "instructions", bench_pingpong, 0, NULL},
    {"pipe", "a KiB through a pipe", "instructions", bench_pipe, 0, NULL},
    {"read", "a KiB of a cached file", "instructions", bench_read, 0, NULL},
    {"write", "a KiB written to a file", "instructions", bench_write, 0, NULL},
    {"fences", "1,000 forks, one after another", "fences", bench_fences, 0, NULL},
    {"fences-many", "1,000 forks, all alive at once", "fences", bench_fences_many, 0, PROCESSES},
    {"stack", "kernel stacks, measured in the kernel", NULL, bench_stack, 0,
     "/crash: build with PROVOKE=y"},
    {"fork-10", "fork, exit, wait beside 10 processes", "instructions", bench_fork, 10, PROCESSES},
    {"fork-100", "the same beside 100", "instructions", bench_fork, 100, PROCESSES},
    {"fork-1000", "the same beside 1,000", "instructions", bench_fork, 1000, PROCESSES},
    {"fork-10000", "the same beside 10,000", "instructions", bench_fork, 10000, PROCESSES},
    {"pages-10000", "stacks, 10,000 processes asleep", "pages", bench_pages, 10000, PROCESSES},
};

// Find out in a child: it is killed where reading the counter is forbidden.
static void require_counter(void) {
  int status;
  if (fork() == 0) {
    instructions();
    exit(0);
  }
  if (wait(&status) < 0 || status != 0)
    die("bench: programs may not read the instruction counter here");
}

static const struct bench *find(const char *name) {
  for (size_t i = 0; i < ARRAY_SIZE(benches); i++)
    if (strcmp(benches[i].name, name) == 0)
      return &benches[i];
  for (size_t i = 0; i < ARRAY_SIZE(benches); i++)
    fprintf(2, "%-12s %s\n", benches[i].name, benches[i].what);
  die("bench: there is no %s (the list is above)", name);
}

static uint64 measure(const struct bench *b) {
  if (b->living == 0)
    return b->run();
  if (!hold_children(b->living))
    return NOT_HERE;
  uint64 figure = b->run();
  release_children();
  return figure;
}

static void run(const struct bench *b) {
  uint64 figure = measure(b);
  if (figure == NOT_HERE)
    fprintf(2, "bench: %s needs %s\n", b->name, b->needs);
  else if (b->unit)
    printf("bench: %s %lu %s\n", b->name, figure, b->unit);
}

int main(int argc, char *argv[]) {
  require_counter();
  for (int i = 1; i < argc; i++)
    find(argv[i]);
  for (int i = 1; i < argc; i++)
    run(find(argv[i]));
  for (size_t i = 0; argc == 1 && i < ARRAY_SIZE(benches); i++)
    run(&benches[i]);
  return 0;
}
