// SPDX-License-Identifier: MIT
//
// gradeuser COMMAND...: what the graded suite needs of programs, besides provoke.
//
//   each TEST [, TEST]...    children run one test of /crash each; all must be killed, no page lost
//   other ACCESS N           byte N below the kernel stack of another process, pid 4
//   other sp                 sp in the middle of that stack's upper page
//   above ACCESS             a byte above another process's kernel stack, in a slot without a stack
//   named TEST               the test, in a process with a strange name
//   crash TEST               the test, in this process
//   fault read|write|jump    children in user mode touch kernel addresses; all must be killed
//   overflow                 a child overflows its user stack
//   pointers read|write|path|exec|result   bad pointers in calls of that kind; all must fail
//   held TEST                the victim holds a pipe, a file, a directory, and has a child
//   memory TEST              the victim shares memory with others, and changes its own
//   secrets TEST             one child plants a secret on its stack, the next one looks at its own
//   page-secrets TEST        secrets in pages, which become stacks of many children
//   stack-secrets            secrets on the stacks of many children, whose pages others get
//   no-memory                each allocation of a fork fails in turn; no page may be lost
//   no-memory limited        the same in an account with room for one child; the last fork succeeds
//   scattered                many children at once where no two free pages are neighbours
//   copying HOW              the grader kills a child in a copy, others then do the same copy
//   storm N                  N overflows while others fork, write files and watch their memory
//
// What it finds goes to verdict(), where the grader stops.

#include "user/user.h"
#include "vm/layout.h"

enum { PAGE = PAGE_SIZE, BORDERS = 6, TEXT = 160, SLEEPERS = 8 };

static uint64 checks, failures;

// Print what was found.
void verdict(uint64 failed, uint64 all);

__attribute__((noinline)) void verdict(uint64 failed, uint64 all) {
  printf("gradeuser: %lu of %lu checks failed\n", failed, all);
}

static void check(bool ok, const char *what, uint64 value) {
  checks++;
  if (ok)
    return;
  if (failures++ < 20)
    printf("gradeuser: %s: 0x%lx\n", what, value);
}

// --- children ------------------------------------------------------------------------------------

// Write the words from first on, up to end or a comma, to /crash.  Returns if that survives.
static void crash(char *const first[], char *const end[]) {
  static char text[TEXT];
  int n = 0, fd = open("/crash", O_RDWR);
  for (char *const *word = first; word < end && strcmp(*word, ",") != 0; word++)
    n += snprintf(text + n, sizeof(text) - (size_t)n, "%s ", *word);
  if (fd < 0 || write(fd, text, n) != n)
    die("gradeuser: cannot run %s", text);
  close(fd);
}

static void crash_words(char *const words[]) {
  char *const *end = words;
  while (*end)
    end++;
  crash(words, end);
}

static int must_fork(void) {
  int pid = fork();
  if (pid < 0)
    die("gradeuser: cannot fork");
  return pid;
}

// Wait for that child, and for whichever ends before it.  Returns its status.
static int status_of(int pid) {
  int status = 0, ended;
  while ((ended = wait(&status)) != pid)
    if (ended < 0)
      die("gradeuser: a child is missing");
  return status;
}

static int run_child(void (*f)(uint64), uint64 argument) {
  int pid = must_fork();
  if (pid == 0) {
    f(argument);
    exit(0);
  }
  return status_of(pid);
}

static void each(char *words[], char *end[]) {
  long before = free_pages();
  for (char **word = words; word < end; word++) {
    int pid = must_fork();
    if (pid == 0) {
      crash(word, end);
      exit(0);
    }
    check(status_of(pid) == -1, "a child lives on", (uint64)pid);
    while (word < end && strcmp(*word, ",") != 0)
      word++;
  }
  long lost = pages_lost(before, free_pages());
  check(lost == 0, "pages lost", (uint64)lost);
}

// Become a process whose name could be taken for something else, and run the test.
static void named(char *words[]) {
  static char name[] = "a b=\nk%\001z", command[] = "crash";
  link("/gradeuser", name);
  words[-1] = command;
  exec(name, words - 2);
}

// --- other processes' kernel stacks --------------------------------------------------------------

static struct stack_info stacks[64];

static struct stack_info *stack_of(int pid) {
  int n = stackinfo(stacks, ARRAY_SIZE(stacks));
  for (int i = 0; i < n && i < (int)ARRAY_SIZE(stacks); i++)
    if (stacks[i].pid == pid && stacks[i].kind == STACK_THREAD)
      return &stacks[i];
  die("gradeuser: stackinfo does not know pid %d", pid);
}

// Fork a child that sleeps in the kernel until this process ends.  It has begun a test before, so
// that the grader knows its stack.  Returns its pid.
static int sleeper(void) {
  static int stop[2] = {-1, -1};
  int ready[2];
  if ((stop[0] < 0 && pipe(stop) < 0) || pipe(ready) < 0)
    die("gradeuser: no pipe");
  int pid = must_fork();
  if (pid == 0) {
    close(stop[1]);
    crash_words(ARGS("STACK_USE", "256"));
    writeall(ready[1], "x", 1);
    exit(read(stop[0], stacks, 1));
  }
  char c;
  read(ready[0], &c, 1);
  close(ready[0]);
  close(ready[1]);
  return pid;
}

static void other(char *words[]) {
  char pid[16], sp[24];
  sleeper();
  snprintf(pid, sizeof(pid), "%d", sleeper());
  sleeper();
  snprintf(sp, sizeof(sp), "0x%lx", stack_of(atoi(pid))->hi - PAGE_SIZE / 2);
  if (strcmp(words[0], "sp") == 0)
    crash_words(ARGS("WILD_SP", sp));
  else
    crash_words(ARGS("GUARD_OTHER", words[0], words[1], pid));
}

static bool is_stack(uint64 lo) {
  int n = stackinfo(stacks, ARRAY_SIZE(stacks));
  for (int i = 0; i < n && i < (int)ARRAY_SIZE(stacks); i++)
    if (stacks[i].lo == lo)
      return true;
  return false;
}

// Reach above the stack of that process if there is no stack in the slot there.
static void reach_above(int pid, char *how) {
  char address[24];
  uint64 hi = stack_of(pid)->hi;
  snprintf(address, sizeof(address), "0x%lx", hi + 8);
  if (!is_stack(hi + KSTACK_GUARD))
    crash_words(ARGS("ACCESS_NULL", how, address));
}

// A kernel that takes slots downwards may have no free one above a stack until the first process is
// gone.
static void above(char *words[]) {
  int pids[SLEEPERS];
  for (int i = 0; i < SLEEPERS; i++) {
    pids[i] = sleeper();
    reach_above(pids[i], words[0]);
  }
  kill(pids[0]);
  status_of(pids[0]);
  for (int i = 1; i < SLEEPERS; i++)
    reach_above(pids[i], words[0]);
}

// --- faults in user mode -------------------------------------------------------------------------

static const uint64 kernel_addresses[] = {
    IMAGE_BASE,   IMAGE_BASE + 2 * PAGE,
    DIRECT_BASE,  DIRECT_BASE + IMAGE_PA,
    DEVICE_BASE,  KSTACK_END,
    VMALLOC_BASE, 0x8000000000000000UL,
    USER_END,     ~0UL - 7,
};

// The borders of this process's kernel stack, multiples of 8.
static uint64 stack_border(uint32 i) {
  const struct stack_info *own = stack_of(getpid());
  const uint64 border[BORDERS] = {
      own->lo - KSTACK_GUARD,     own->lo - 8, own->lo, own->hi - 8, own->hi,
      own->hi + KSTACK_GUARD - 8,
  };
  return border[i];
}

static void read_at(uint64 address) {
  (void)*(volatile char *)address;
}

static void write_at(uint64 address) {
  *(volatile char *)address = 1;
}

static void jump_to(uint64 address) {
  ((void (*)(void))address)();
}

static void fault(const char *how) {
  void (*f)(uint64) = how[0] == 'r' ? read_at : how[0] == 'w' ? write_at : jump_to;
  for (uint32 i = 0; i < BORDERS; i++)
    check(run_child(f, stack_border(i)) == -1, "not killed at", stack_border(i));
  for (uint32 i = 0; i < ARRAY_SIZE(kernel_addresses); i++)
    check(run_child(f, kernel_addresses[i]) == -1, "not killed at", kernel_addresses[i]);
}

static int recurse(volatile int n) {
  volatile char frame[256];
  frame[0] = (char)n;
  return n == 0 ? 0 : recurse(n - 1) + frame[0];
}

static void recurse_child(uint64 depth) {
  recurse((int)depth);
}

static void overflow(void) {
  check(run_child(recurse_child, 4) == 0, "a short recursion fails", 4);
  check(run_child(recurse_child, 1000) == -1, "an endless recursion is not killed", 1000);
}

// --- bad pointers in system calls ----------------------------------------------------------------

enum { COUNT = 8 };
static char buffer[COUNT + 1] = "01234567";

static void try_read(uint64 a) {
  int p[2], file = open("grade.tmp", O_CREATE | O_RDWR), crash_device = open("/crash", O_RDWR);
  write(file, buffer, COUNT);
  close(file);
  file = open("grade.tmp", O_RDWR);
  check(read(file, (void *)a, COUNT) == -1, "read of a file", a);
  check(read(crash_device, (void *)a, COUNT) == -1, "read of a device", a);
  check(pipe(p) == 0 && write(p[1], buffer, COUNT) == COUNT, "pipe", a);
  check(read(p[0], (void *)a, COUNT) == -1, "read of a pipe", a);
  check(read(p[0], buffer, COUNT) == COUNT, "what is left in the pipe", a);
  close(p[0]);
  close(p[1]);
  close(crash_device);
  close(file);
}

static void try_write(uint64 a) {
  struct stat st;
  int p[2], file = open("grade.tmp", O_CREATE | O_RDWR), crash_device = open("/crash", O_RDWR);
  check(write(file, (void *)a, COUNT) == -1, "write to a file", a);
  check(fstat(file, &st) == 0 && st.size == 0, "size of the file", st.size);
  check(write(crash_device, (void *)a, COUNT) == -1, "write to a device", a);
  check(write(1, (void *)a, COUNT) == -1, "write to the console", a);
  check(pipe(p) == 0 && write(p[1], (void *)a, COUNT) == -1, "write to a pipe", a);
  close(p[0]);
  close(p[1]);
  close(crash_device);
  close(file);
}

static void try_path(uint64 a) {
  const char *path = (const char *)a;
  check(open(path, O_RDONLY) == -1, "open", a);
  check(open(path, O_CREATE | O_RDWR) == -1, "open to create", a);
  check(exec(path, ARGS("x")) == -1, "exec", a);
  check(chdir(path) == -1, "chdir", a);
  check(mkdir(path) == -1, "mkdir", a);
  check(mknod(path, 1, 1) == -1, "mknod", a);
  check(unlink(path) == -1, "unlink", a);
  check(link(path, "grade.tmp") == -1, "link from", a);
  check(link("/true", path) == -1, "link to", a);
}

static void try_exec(uint64 a) {
  if (a == 0)
    return;  // that ends an array
  check(exec("/true", ARGS("true", (char *)a)) == -1, "exec with an argument", a);
  check(exec("/true", (char **)a) == -1, "exec with an array", a);
}

static void try_result(uint64 a) {
  int fd = open("/true", O_RDONLY);
  check(fstat(fd, (struct stat *)a) == -1, "fstat", a);
  close(fd);
  check(pipe((int *)a) == -1, "pipe", a);
  check(meminfo((struct memory_info *)a) < 0, "meminfo", a);
  check(procinfo((struct process_info *)a, 1) < 0, "procinfo", a);
  check(stackinfo((struct stack_info *)a, 1) < 0, "stackinfo", a);
  if (a == 0)
    return;  // that is allowed to wait
  int pid = must_fork(), status = 0;
  if (pid == 0)
    exit(5);
  check(wait((int *)a) == -1, "wait", a);
  check(wait(&status) == pid && status == 5, "wait again", (uint64)status);
}

static void pointers(const char *kind) {
  static const struct {
    const char *name;
    void (*try)(uint64 address);
    bool stores;
  } kinds[] = {{"read", try_read, true},
               {"write", try_write, false},
               {"path", try_path, false},
               {"exec", try_exec, false},
               {"result", try_result, true}};
  for (uint32 k = 0; k < ARRAY_SIZE(kinds); k++) {
    if (strcmp(kind, kinds[k].name) != 0)
      continue;
    for (uint32 i = 0; i < BORDERS; i++)
      kinds[k].try(stack_border(i));
    for (uint32 i = 0; i < ARRAY_SIZE(kernel_addresses); i++)
      kinds[k].try(kernel_addresses[i]);
    kinds[k].try(0);
    kinds[k].try(USER_END - PAGE);
    kinds[k].try(ROUND_UP((uint64)sbrk(0), PAGE));
    if (kinds[k].stores)
      kinds[k].try((uint64)try_read & ~7UL);  // text
  }
  unlink("grade.tmp");
}

// --- what a victim leaves behind -----------------------------------------------------------------

static char block[BLOCK_SIZE];

static void victim_with_things(char *words[], const int pipe_ends[2]) {
  close(pipe_ends[0]);
  chdir("grade.dir");
  int fd = open("file", O_CREATE | O_RDWR);
  for (int i = 0; i < 20; i++)
    write(fd, block, sizeof(block));
  unlink("file");
  if (must_fork() == 0) {
    close(pipe_ends[1]);
    exit(sleep(1));
  }
  crash_words(words);
  exit(0);
}

static void held(char *words[]) {
  int p[2];
  char c;
  check(pipe(p) == 0 && mkdir("grade.dir") == 0, "pipe and mkdir", 0);
  int pid = must_fork();
  if (pid == 0)
    victim_with_things(words, p);
  close(p[1]);
  check(status_of(pid) == -1, "the victim's status", (uint64)pid);
  check(read(p[0], &c, 1) == 0, "end of file in the victim's pipe", 0);
  check(wait(NULL) == -1, "the victim's child is no child of mine", 0);
  sleep(3);  // the child ends on init's account
  check(unlink("grade.dir") == 0, "removing the victim's directory", 0);
}

// Copy between the buffer and a pipe, a file or the console.
static bool copies(const char *how, const int p[2], char *b) {
  int fd, n = 0;
  if (strcmp(how, "pipe-read") == 0)
    n = read(p[0], b, COUNT / 2);
  else if (strcmp(how, "pipe-write") == 0)
    n = write(p[1], b, COUNT / 2);
  else if (strcmp(how, "console-read") == 0)
    n = read(0, b, COUNT / 2);
  else if ((fd = open("grade.tmp", O_CREATE | O_RDWR)) >= 0)
    n = strcmp(how, "file-read") == 0 ? read(fd, b, COUNT / 2) : write(fd, b, COUNT / 2);
  return n > 0;
}

// The child's buffer is not mapped yet, so its copy faults, and there the grader kills it.
static void copying(const char *how) {
  int p[2] = {-1, -1}, pid;
  check(pipe(p) == 0 && write(p[1], buffer, COUNT) == COUNT && copies("file-write", p, buffer),
        "pipe and file", 0);
  if ((pid = must_fork()) == 0) {
    crash_words(ARGS("STACK_USE", "256"));
    copies(how, p, sbrklazy(PAGE));
    exit(0);
  }
  check(status_of(pid) == -1, "the victim's status", (uint64)pid);
  check(copies(how, p, buffer), "the same copy after it", 0);
  check(copies("pipe-write", p, buffer) && copies("pipe-read", p, buffer), "the pipe after it", 0);
  check(copies("file-write", p, buffer) && unlink("grade.tmp") == 0, "the file after it", 0);
}

enum { WORDS = 32 * 1024 };
static uint64 memory[WORDS];

static void fill(uint64 seed) {
  for (uint64 i = 0; i < WORDS; i++)
    memory[i] = seed + i * 0x9e3779b97f4a7c15UL;
}

static bool is_filled(uint64 seed) {
  for (uint64 i = 0; i < WORDS; i++)
    if (memory[i] != seed + i * 0x9e3779b97f4a7c15UL)
      return false;
  return true;
}

static void shared_memory(char *words[]) {
  fill(1);
  for (int i = 0; i < 4; i++) {
    int pid = must_fork();
    if (pid == 0) {
      for (int k = i * WORDS / 8; k < WORDS; k += 700)
        memory[k] = 0;
      crash_words(words);
      exit(0);
    }
    check(status_of(pid) == -1, "the victim's status", (uint64)pid);
    check(is_filled(1), "memory shared with the victim, after", (uint64)i);
  }
}

// --- secrets -------------------------------------------------------------------------------------

enum { ROUNDS = 6, CROWD = 12, KEY = 0x5ec4e7 };  // as in kern/provoke/faults.S

static uint64 secret(void) {
  volatile uint64 key = KEY;
  return key << 32 | key;
}

// While a child does this, the grader looks at the kernel stack that the child was given.
static void show_stack(uint64 unused) {
  (void)unused;
  crash_words(ARGS("STACK_USE", "256"));
}

static void secrets(char *words[]) {
  int killed = strcmp(words[0], "STRAY_SECRET") == 0 ? -1 : 0;
  for (int i = 0; i < ROUNDS; i++) {
    int pid = must_fork();
    if (pid == 0) {
      crash_words(words);
      exit(0);
    }
    check(status_of(pid) == killed, "status of the child that plants a secret", (uint64)pid);
    check(run_child(show_stack, 0) == 0, "status of the child that shows its stack", 0);
  }
}

// Run the test in many children at once, which then exit together.
static void crowd(char *const words[]) {
  int p[2];
  char c;
  if (pipe(p) < 0)
    die("gradeuser: no pipe");
  for (int i = 0; i < CROWD; i++)
    if (must_fork() == 0) {
      close(p[1]);
      crash_words(words);
      exit(read(p[0], &c, 1));
    }
  close(p[0]);
  close(p[1]);
  int status;
  for (int i = 0; i < CROWD; i++)
    check(wait(&status) > 0 && status == 0, "a child of the crowd ended with", (uint64)status);
}

// Take all memory there is, and see that it is all zeros; leave the value in it.
static void fill_all_memory(uint64 value) {
  uint64 seen = 0;
  for (uint64 *p = (uint64 *)sbrk(0), *end = p + sbrk_all() / sizeof(*p); p < end; p++) {
    seen |= *p;
    *p = value;
  }
  exit(seen != 0);
}

static void page_secrets(char *words[]) {
  check(run_child(fill_all_memory, secret()) == 0, "memory was not all zeros", 0);
  crowd(words);
}

static void stack_secrets(void) {
  crowd(ARGS("STACK_SECRET", "12000"));
  check(run_child(fill_all_memory, 0) == 0, "memory was not all zeros", 1);
}

// --- forks that fail -----------------------------------------------------------------------------

enum { ALLOCATIONS_MAX = 300, SCATTERED = 40 };  // in a fork; children at once

// Have the kernel fail this process's n-th allocation from now on; 0: none.
static void fail_alloc(int fd, int n) {
  char text[24];
  int length = snprintf(text, sizeof(text), "FAIL_ALLOC %d", n);
  if (write(fd, text, length) != length)
    die("gradeuser: cannot run %s", text);
}

// Fail each allocation of a fork in turn, until a fork succeeds.
static void fail_forks(uint64 unused) {
  (void)unused;
  int fd = open("/crash", O_RDWR), pid = -1;  // once: it allocates, too
  for (int n = 1; pid < 0 && n < ALLOCATIONS_MAX; n++) {
    fail_alloc(fd, n);
    if ((pid = fork()) == 0)
      exit(0);
    fail_alloc(fd, 0);
  }
  exit(pid < 0 ? 1 : status_of(pid));
}

static void limited_forks(uint64 children) {
  check(stacklimit((1 + children) * STACK_PAGES) > 0, "a new account", children);
  fail_forks(0);
}

static void no_memory(const char *how) {
  if (strcmp(how, "limited") == 0) {
    check(run_child(limited_forks, 1) == 0, "no fork succeeds in an account with room", 1);
    return;
  }
  long before = free_pages();
  check(run_child(fail_forks, 0) == 0, "no fork succeeds", 0);
  long lost = pages_lost(before, free_pages());
  check(lost == 0, "pages lost", (uint64)lost);
}

// Fill memory, and give back every second page.
static void scatter(void) {
  uint64 size = (uint64)free_pages() / 2 * 2 * PAGE;
  char *p;
  while ((p = sbrklazy((int)size)) == (char *)-1)
    size -= 2 * PAGE;
  for (uint64 i = 0; i < size / 2; i += PAGE)
    p[i] = p[size / 2 + i] = 1;
  sbrk(-(int)(size / 2));
}

// Live until the parent closes its end of the pipe.
static void wait_for_end(const int p[2]) {
  char c;
  close(p[1]);
  exit(read(p[0], &c, 1));
}

static void scattered(void) {
  int ready[2], end[2];
  char c = 0;
  check(pipe(ready) == 0 && pipe(end) == 0, "pipes", 0);
  if (must_fork() == 0) {
    scatter();
    write(ready[1], &c, 1);
    wait_for_end(end);
  }
  check(read(ready[0], &c, 1) == 1, "scattered pages", 0);
  for (int i = 0; i < SCATTERED; i++) {
    int pid = fork();
    check(pid >= 0, "no fork with scattered pages, child", (uint64)i);
    if (pid == 0)
      wait_for_end(end);
  }
  close(end[1]);
  while (wait(NULL) > 0)
    continue;
}

// --- a storm -------------------------------------------------------------------------------------

// Create, read back and remove a file, again and again.
static void write_files(uint64 id) {
  char name[] = "storm0";
  name[5] = (char)('0' + id);
  for (int turn = 0; turn < 12; turn++) {
    int fd = open(name, O_CREATE | O_RDWR | O_TRUNC);
    memset(block, 'a' + turn, sizeof(block));
    for (int i = 0; i < 16; i++)
      if (write(fd, block, sizeof(block)) != sizeof(block))
        exit(1);
    close(fd);
    fd = open(name, O_RDONLY);
    for (int i = 0; i < 16; i++)
      if (read(fd, block, sizeof(block)) != sizeof(block) || block[i] != 'a' + turn ||
          block[sizeof(block) - 1] != 'a' + turn)
        exit(1);
    close(fd);
    if (turn % 3 == 0 && unlink(name) != 0)
      exit(1);
  }
  unlink(name);
}

static void exit_with(uint64 status) {
  exit((int)status);
}

static void fork_often(uint64 id) {
  for (int i = 0; i < 40; i++)
    if (run_child(exit_with, id + 1) != (int)id + 1)
      exit(1);
}

static void watch_memory(uint64 id) {
  for (uint64 i = 0; i < 10; i++) {
    fill(id + i);
    if (!is_filled(id + i))
      exit(1);
  }
}

static void overflow_often(uint64 count) {
  for (uint64 i = 0; i < count; i++) {
    int pid = must_fork();
    if (pid == 0) {
      crash_words(ARGS("EXHAUST_STACK"));
      exit(0);
    }
    if (status_of(pid) != -1)
      exit(1);
  }
}

static void storm(uint64 count) {
  void (*const kinds[])(uint64) = {overflow_often, write_files, fork_often, overflow_often,
                                   watch_memory,   write_files, fork_often, overflow_often};
  long before = free_pages();
  for (uint32 i = 0; i < ARRAY_SIZE(kinds); i++)
    if (must_fork() == 0) {
      kinds[i](kinds[i] == overflow_often ? count / 3 : i);
      exit(0);
    }
  int status;
  for (uint32 i = 0; i < ARRAY_SIZE(kinds); i++)
    check(wait(&status) > 0 && status == 0, "a child of the storm ended with", (uint64)status);
  long lost = pages_lost(before, free_pages());
  check(lost == 0, "pages lost", (uint64)lost);
}

// --- the life of stacks -------------------------------------------------------------------------

enum { CROWDS = 15, STACKS_OF_LIMIT = 8 };

// Have as many children as that at once, which then end together.  Returns how many there were.
static uint64 children_at_once(uint64 most) {
  int p[2], status;
  char c;
  if (pipe(p) < 0)
    die("gradeuser: no pipe");
  uint64 n = 0;
  for (int pid; n < most && (pid = fork()) >= 0; n++)
    if (pid == 0) {
      close(p[1]);
      exit(read(p[0], &c, 1));
    }
  close(p[0]);
  close(p[1]);
  for (uint64 i = 0; i < n; i++)
    check(wait(&status) > 0 && status == 0, "a child ended with", (uint64)status);
  return n;
}

static uint64 fences(void) {
  struct memory_info m;
  check(meminfo(&m) == 0, "meminfo", 0);
  return m.fences;
}

// Fork 300 children, 20 at a time, with that many fences of all harts at most.
static void check_fences(uint64 most) {
  uint64 before = fences();
  for (int i = 0; i < CROWDS; i++)
    check(children_at_once(20) == 20, "crowd", (uint64)i);
  uint64 after = fences();
  check(after - before <= most, "fences of all harts for 300 children", after - before);
}

static void check_pages(void) {
  long before = free_pages();
  check(children_at_once(60) == 60, "60 children at once", 0);
  long lost = pages_lost(before, free_pages());
  check(lost == 0, "pages lost", (uint64)lost);
}

static void check_account(void) {
  check(stacklimit(STACKS_OF_LIMIT * STACK_PAGES) > 0, "stacklimit", 0);
  for (int i = 0; i < 4; i++) {
    uint64 n = children_at_once(2 * STACKS_OF_LIMIT);
    check(n == STACKS_OF_LIMIT - 1, "children that an account of 8 stacks pays for", n);
  }
}

static void fork_at_once(void) {
  for (int i = 0; i < 60; i++)
    children_at_once(5);
  exit(failures != 0);
}

static void fork_on_all_harts(void) {
  int status;
  for (int i = 0; i < 4; i++)
    if (must_fork() == 0)
      fork_at_once();
  for (int i = 0; i < 4; i++)
    check(wait(&status) > 0 && status == 0, "a child that forks ended with", (uint64)status);
}

static void life(char *words[]) {
  if (strcmp(words[0], "fences") == 0)
    check_fences((uint64)atoi(words[1]));
  else if (strcmp(words[0], "pages") == 0)
    check_pages();
  else if (strcmp(words[0], "crowd") == 0)
    check(children_at_once(40) == 40, "40 children at once", 0);
  else if (strcmp(words[0], "account") == 0)
    check_account();
  else
    fork_on_all_harts();
}

// -------------------------------------------------------------------------------------------------

static bool run(const char *command, char *argv[], int argc) {
  if (strcmp(command, "each") == 0)
    each(argv, argv + argc);
  else if (strcmp(command, "other") == 0)
    other(argv);
  else if (strcmp(command, "above") == 0)
    above(argv);
  else if (strcmp(command, "named") == 0)
    named(argv);
  else if (strcmp(command, "crash") == 0)
    crash_words(argv);
  else if (strcmp(command, "held") == 0)
    held(argv);
  else if (strcmp(command, "copying") == 0)
    copying(argv[0]);
  else if (strcmp(command, "memory") == 0)
    shared_memory(argv);
  else if (strcmp(command, "secrets") == 0)
    secrets(argv);
  else if (strcmp(command, "page-secrets") == 0)
    page_secrets(argv);
  else if (strcmp(command, "stack-secrets") == 0)
    stack_secrets();
  else if (strcmp(command, "storm") == 0)
    storm((uint64)atoi(argv[0]));
  else if (strcmp(command, "life") == 0)
    life(argv);
  else
    return false;
  return true;
}

// Commands that test user mode first run a test that does nothing: the grader begins at that.
static void run_in_user_mode(const char *command, const char *argument) {
  crash_words(ARGS("STACK_USE", "256"));
  if (strcmp(command, "fault") == 0)
    fault(argument);
  else if (strcmp(command, "overflow") == 0)
    overflow();
  else if (strcmp(command, "pointers") == 0)
    pointers(argument);
  else if (strcmp(command, "no-memory") == 0)
    no_memory(argument);
  else if (strcmp(command, "scattered") == 0)
    scattered();
  else
    die("gradeuser: there is no command %s", command);
}

int main(int argc, char *argv[]) {
  if (argc < 2)
    die("usage: gradeuser COMMAND [argument...]");
  if (!run(argv[1], argv + 2, argc - 2))
    run_in_user_mode(argv[1], argc > 2 ? argv[2] : "");
  verdict(failures, checks);
  return failures != 0;
}
