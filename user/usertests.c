// SPDX-License-Identifier: MIT
//
// usertests [-lq] [-r ROOM] [name...]: test every system call, from a program's side.
//
// Each test runs in a process of its own, in an empty directory.  Afterwards no memory may be
// missing, the directory must be empty, and at the very end a count of all memory by sbrk must be
// what it was.  -l lists the tests, -q leaves out the slow ones.  -r leaves
// each test ROOM bytes of its kernel stack (docs/storm.md) and counts no memory, since most are
// killed.  A name that ends with - stands for all that begin with it.

#include "user/usertests/tests.h"

#define DIRECTORY "/usertests.tmp"

char scratch[SCRATCH_SIZE];
char *first_break, *first_stack;

const uint64 bad_addresses[BAD_COUNT] = {
    0,
    USER_END - 4096,
    USER_END - 1,
    USER_END,
    USER_END + 4096,
    0x80000000,
    IMAGE_PA,
    0x400000000000,
    0x8000000000000000,
    DIRECT_BASE,
    DIRECT_BASE + IMAGE_PA,
    KSTACK_BASE,
    KSTACK_BASE + KSTACK_GUARD,
    VMALLOC_BASE,
    IMAGE_BASE,
    ~0UL - 7,
};

static const struct test *const tables[] = {
    memory_tests,   lazy_tests,       promise_tests,   pointer_tests, fault_tests,
    process_tests,  kill_tests,       exec_tests,      elf_tests,     pipe_tests,
    file_tests,     descriptor_tests, directory_tests, race_tests,    disk_tests,
    register_tests, info_tests,       alloc_tests,     account_tests, edge_tests,
};

_Noreturn void fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  char text[200];
  vsnprintf(text, sizeof(text), format, args);
  printf("  %s\n", text);
  va_end(args);
  exit(1);
}

int must_fork(void) {
  int pid = fork();
  if (pid < 0)
    fail("fork failed");
  return pid;
}

int wait_status(void) {
  int status;
  if (wait(&status) < 0)
    fail("wait failed");
  return status;
}

int run_child(void (*f)(uint64), uint64 argument) {
  if (must_fork() == 0) {
    f(argument);
    exit(0);
  }
  return wait_status();
}

static uint64 promised_memory(void) {
  struct memory_info m;
  return meminfo(&m) < 0 ? 0 : m.reserved;
}

bool overcommits(void) {
  int p[2];
  char c;
  uint64 before = promised_memory();
  if (pipe(p) < 0)
    fail("no pipe");
  if (must_fork() == 0)
    exit(read(p[0], &c, 1));
  bool promised = promised_memory() > before;
  write(p[1], "", 1);
  wait_status();
  close(p[0]);
  close(p[1]);
  return !promised;
}

void make_file(const char *path, const void *data, int n) {
  int fd = open(path, O_CREATE | O_RDWR | O_TRUNC);
  if (fd < 0)
    fail("cannot create %s", path);
  if (write(fd, data, n) != n)
    fail("cannot write %s", path);
  close(fd);
}

int load_file(const char *path, void *data, int n) {
  int fd = open(path, O_RDONLY), total = 0, got;
  if (fd < 0)
    fail("cannot open %s", path);
  while (total < n && (got = read(fd, (char *)data + total, n - total)) > 0)
    total += got;
  close(fd);
  return total;
}

char *long_string(char c, int length) {
  char *s = malloc((size_t)length + 1);
  if (!s)
    fail("no memory");
  memset(s, c, (size_t)length);
  s[length] = 0;
  return s;
}

// --- running ---

static const char *room;  // with -r

static void take_room(void) {
  const char *spare = strchr(room, '/');
  char command[48];
  int n = snprintf(command, sizeof(command), "%s %s STACK_ROOM %d", spare ? "SPARE" : "",
                   spare ? spare + 1 : "", atoi(room));
  int fd = open("/crash", O_WRONLY);
  if (fd < 0 || write(fd, command, n) != n)
    die("usertests: the kernel refuses a room of %s bytes", room);
}

static uint64 free_memory(void) {
  struct memory_info m;
  return meminfo(&m) < 0 ? 0 : m.free;
}

// Orphans may still be exiting: give them time.
static bool memory_came_back(uint64 before) {
  for (int i = 0; i < 100; i++) {
    if (free_memory() >= before)
      return true;
    sleep(1);
  }
  printf("  %lu bytes of memory are missing\n", before - free_memory());
  return false;
}

// Remove all that is in the current directory.
static void clean(void) {
  struct dirent entry;
  char name[DIRSIZ + 1];
  int fd = open(".", O_RDONLY);
  while (read(fd, &entry, sizeof(entry)) == sizeof(entry)) {
    memcpy(name, entry.name, DIRSIZ);
    name[DIRSIZ] = 0;
    if (entry.inum == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
      continue;
    if (unlink(name) == 0 || chdir(name) < 0)
      continue;
    clean();
    chdir("..");
    unlink(name);
  }
  close(fd);
}

static bool directory_is_empty(void) {
  if (unlink(DIRECTORY) == 0)
    return true;
  printf("  files are left in %s\n", DIRECTORY);
  if (chdir(DIRECTORY) == 0)
    clean();
  chdir("/");
  unlink(DIRECTORY);
  return false;
}

static bool run(const struct test *t) {
  int status = -1;
  uint64 before = free_memory();
  if (mkdir(DIRECTORY) < 0)
    printf("  cannot make %s\n", DIRECTORY);
  int pid = fork();
  if (pid == 0) {
    chdir(DIRECTORY);
    if (room)
      take_room();
    t->run();
    exit(wait(NULL) == -1 ? 0 : 1);
  }
  bool ended = pid > 0 && wait(&status) == pid;
  bool ok = ended && status == 0;
  ok &= directory_is_empty();
  ok &= room || memory_came_back(before);
  printf("test %s: %s\n", t->name, ok ? "OK" : "FAILED");
  return ok;
}

// Count the pages that a program can take, in a child that gives them back by exiting.
static int count_pages(void) {
  int p[2], n = 0;
  if (pipe(p) < 0)
    die("usertests: no pipe");
  if (fork() == 0) {
    n = (int)(sbrk_all() / PAGE_SIZE);
    write(p[1], &n, sizeof(n));
    exit(0);
  }
  read(p[0], &n, sizeof(n));
  wait(NULL);
  close(p[0]);
  close(p[1]);
  return n;
}

static bool pages_came_back(int before) {
  int after = 0;
  for (int i = 0; i < 10 && after < before; i++) {
    if (i > 0)
      sleep(1);
    after = count_pages();
  }
  if (after < before)
    printf("%d pages before, %d after\n", before, after);
  return after >= before;
}

// "race-" stands for all tests whose names begin so.
static bool means(const char *word, const char *name) {
  size_t n = strlen(word);
  return strcmp(word, name) == 0 || (n > 0 && word[n - 1] == '-' && strncmp(word, name, n) == 0);
}

static bool wanted(const char *name, int argc, char *argv[]) {
  for (int i = optind; i < argc; i++)
    if (means(argv[i], name))
      return true;
  return optind == argc;
}

static bool exists(const char *word) {
  for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
    for (const struct test *t = tables[i]; t->name; t++)
      if (means(word, t->name))
        return true;
  return false;
}

static int failed;

static void run_table(const struct test *t, bool quick, bool list, int argc, char *argv[]) {
  for (; t->name; t++) {
    if (!wanted(t->name, argc, argv) || (quick && t->slow))
      continue;
    if (list)
      printf("%s%s\n", t->name, t->slow ? " (slow)" : "");
    else if (!run(t))
      failed++;
  }
}

static bool shell_runs(void) {
  static struct process_info list[64];
  int n = procinfo(list, ARRAY_SIZE(list)), shells = 0;
  for (int i = 0; i < n && i < (int)ARRAY_SIZE(list); i++)
    shells += strcmp(list[i].name, "sh") == 0;
  return shells > 1;  // one of them waits for this program, which runs in the background
}

// Take all there is, again and again, until no shell has run for 3 seconds.
static void starve_shell(void (*take_all)(void)) {
  take_all();
  printf("usertests: nothing is left\n");
  for (int last = uptime(); uptime() - last < 30;) {
    for (int i = 0; i < 100; i++)
      take_all();
    if (shell_runs())
      last = uptime();
  }
}

static int held[2];  // a pipe

// Make children until fork fails; they exit when this process does.
static void take_processes(void) {
  int pid;
  while ((pid = fork()) > 0)
    ;
  if (pid == 0) {
    close(held[1]);
    exit(read(held[0], &pid, 1));
  }
}

static void take_memory(void) {
  while (sbrk(PAGE_SIZE) != (char *)-1)
    ;
}

static void hold(const char *what) {
  if (strcmp(what, "@hold-processes") == 0 && pipe(held) == 0)
    starve_shell(take_processes);
  if (strcmp(what, "@hold-memory") == 0) {
    sbrk_all();
    starve_shell(take_memory);
    for (int i = 0; i < 60; i++) {  // bit by bit
      sbrk(-PAGE_SIZE);
      sleep(2);
    }
  }
}

// Programs that tests run: "usertests @floats" tells whether registers came in clean.
static void serve(const char *what) {
  if (strcmp(what, "@floats") == 0)
    exit(floats_check(0) == -1 ? 0 : 1);
  if (strcmp(what, "@layout") == 0)
    exit(ROUND_UP((uint64)&what, PAGE_SIZE) == (uint64)sbrk(0) ? 0 : 1);
  if (strcmp(what, "@edges") == 0)
    list_edges();
  hold(what);
  exit(0);
}

int main(int argc, char *argv[]) {
  bool quick = false, list = false;
  first_break = sbrk(0);
  first_stack = (char *)ROUND_DOWN((uint64)&quick, PAGE_SIZE);
  if (argc == 2 && argv[1][0] == '@')
    serve(argv[1]);
  for (int c; (c = getopt(argc, argv, "lqr:")) != -1;) {
    quick |= c == 'q';
    list |= c == 'l';
    if (c == 'r')
      room = optarg;
    if (c == '?')
      die("usage: usertests [-lq] [-r ROOM] [name...]");
  }
  for (int i = optind; i < argc; i++)
    if (!exists(argv[i]))
      die("usertests: there is no test %s (-l lists them)", argv[i]);
  int pages = list || room ? 0 : count_pages();
  for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
    run_table(tables[i], quick, list, argc, argv);
  if (list)
    return 0;
  failed += !room && !pages_came_back(pages);
  if (failed > 0)
    printf("%d TESTS FAILED\n", failed);
  else
    printf("ALL TESTS PASSED\n");
  return failed > 0;
}
