// SPDX-License-Identifier: MIT
//
// What storm does with little stack: each call, by the ways it can go, and what else enters the
// kernel.  A deed that the kernel does not kill may fail or not, and says nothing.

#include "user/storm/storm.h"

#define LARGE 20000  // bytes of a file that has an indirect block
#define PAGE  4096

static char data[LARGE];
static int file, ends[2], child;
static char *lazy;
static volatile double real = 1.5;

// --- what they need ---

static void make(const char *path, int size) {
  int fd = open(path, O_CREATE | O_RDWR);
  if (fd < 0 || write(fd, data, size) != size)
    die("storm: cannot make %s", path);
  close(fd);
}

static void small_file(void) {
  make("f", 100);
  file = open("f", O_RDWR);
}

static void large_file(void) {
  make("f", LARGE);
  file = open("f", O_RDWR);
}

static void removed_file(void) {
  large_file();
  unlink("f");
}

static void linked_file(void) {
  make("f", LARGE);
  link("f", "g");
}

static void last_link(void) {
  make("f", LARGE);
}

static void folders(void) {
  mkdir("a");
  mkdir("a/b");
  mkdir("a/b/c");
  make("a/b/c/f", 100);
}

static void make_pipe(void) {
  if (pipe(ends) < 0)
    die("storm: no pipe");
}

static void full_pipe(void) {
  make_pipe();
  write(ends[1], data, 100);
}

static void sleeping_child(void) {
  make_pipe();
  child = fork();
  if (child == 0) {
    close(ends[1]);
    read(ends[0], data, 1);
    exit(0);
  }
}

static void ended_child(void) {
  if (fork() == 0)
    exit(0);
  sleep(1);
}

static void lazy_memory(void) {
  lazy = sbrklazy(8 * PAGE);
  large_file();
}

static void everything(void) {
  removed_file();
  sleeping_child();
  small_file();
  sbrk(16 * PAGE);
  chdir("/");
}

// --- the deeds ---

static void create(void) {
  open("new", O_CREATE | O_RDWR);
}

static void create_deep(void) {
  open("a/b/../b/c/new", O_CREATE | O_RDWR);
}

static void open_missing(void) {
  open("missing", O_RDONLY);
}

static void write_some(void) {
  write(file, data, 100);
}

static void write_large(void) {
  write(file, data, LARGE);
}

static void read_large(void) {
  read(file, data, LARGE);
}

static void read_lazy(void) {
  read(file, lazy + 100, LARGE);
}

static void write_lazy(void) {
  write(file, lazy + 100, 2 * PAGE);
}

static void truncate(void) {
  open("f", O_RDWR | O_TRUNC);
}

static void link_it(void) {
  link("f", "h");
}

static void unlink_it(void) {
  unlink("f");
}

static void close_it(void) {
  close(file);
}

static void make_folder(void) {
  mkdir("a/new");
}

static void remove_folder(void) {
  unlink("a/b/c/f");
  unlink("a/b/c");
}

static void enter(void) {
  chdir("a/b/c/../c");
}

static void list(void) {
  file = open("a", O_RDONLY);
  read(file, data, 100);
}

static void status(void) {
  struct stat st;
  fstat(file, &st);
}

static void make_device(void) {
  mknod("d", 63, 0);
}

static void another_pipe(void) {
  pipe(ends);
}

static void read_pipe(void) {
  read(ends[0], data, 200);
}

static void write_pipe(void) {
  write(ends[1], data, 300);
}

static void close_pipe(void) {
  close(ends[0]);
  close(ends[1]);
}

static void fork_it(void) {
  if (fork() == 0)
    exit(0);
}

static void fork_and_wait(void) {
  fork_it();
  wait(NULL);
}

static void wait_it(void) {
  wait(NULL);
}

static void reap_it(void) {
  reap(NULL);
}

static void exec_it(void) {
  exec("/true", ARGS("true"));
}

static void exec_missing(void) {
  exec("/missing", ARGS("missing", "a", "b", "c"));
}

static void grow(void) {
  sbrk(20 * PAGE);
}

static void shrink(void) {
  sbrk(-2 * PAGE);
}

static void touch_lazy(void) {
  lazy[2 * PAGE] = 1;
}

static void touch_shared(void) {
  data[PAGE] = 1;
}

static void kill_it(void) {
  kill(child);
}

static void nap(void) {
  sleep(1);
}

static void duplicate(void) {
  dup(0);
}

static void print(void) {
  write(1, "storm: a deed prints this line\n", 31);
}

static void bad_pointer(void) {
  write(1, (const void *)-4096L, 100);
  read(file, (void *)-4096L, 100);
}

static void ask(void) {
  static struct process_info processes[16];
  static struct stack_info stacks[16];
  struct memory_info memory;
  meminfo(&memory);
  procinfo(processes, 16);
  stackinfo(stacks, 16);
}

static void limit(void) {
  stacklimit(100);
  if (fork() == 0)
    exit(0);
}

static void sync_it(void) {
  write(file, data, 100);
  sync();
}

static void fault(void) {
  *(volatile char *)0 = 1;
}

static void illegal(void) {
  asm volatile("unimp");
}

static void floating(void) {
  real = real * real;
}

// Interrupts come without a call.
static void spin(void) {
  uint64 now, end;
  asm volatile("rdtime %0" : "=r"(end));
  end += 1500000;
  do
    asm volatile("rdtime %0" : "=r"(now));
  while (now < end);
}

static void leave(void) {
}

const struct deed deeds[] = {
    {"create", NULL, create},
    {"create-deep", folders, create_deep},
    {"open-missing", NULL, open_missing},
    {"write", small_file, write_some},
    {"write-large", small_file, write_large},
    {"write-lazy", lazy_memory, write_lazy},
    {"read", large_file, read_large},
    {"read-lazy", lazy_memory, read_lazy},
    {"truncate", linked_file, truncate},
    {"link", linked_file, link_it},
    {"unlink", linked_file, unlink_it},
    {"unlink-open", large_file, unlink_it},
    {"unlink-last", last_link, unlink_it},
    {"close", small_file, close_it},
    {"close-removed", removed_file, close_it},
    {"mkdir", folders, make_folder},
    {"rmdir", folders, remove_folder},
    {"chdir", folders, enter},
    {"list", folders, list},
    {"fstat", small_file, status},
    {"mknod", NULL, make_device},
    {"pipe", NULL, another_pipe},
    {"pipe-read", full_pipe, read_pipe},
    {"pipe-write", full_pipe, write_pipe},
    {"pipe-close", full_pipe, close_pipe},
    {"fork", NULL, fork_it},
    {"fork-wait", NULL, fork_and_wait},
    {"wait", ended_child, wait_it},
    {"reap", ended_child, reap_it},
    {"exec", NULL, exec_it},
    {"exec-missing", NULL, exec_missing},
    {"sbrk", NULL, grow},
    {"sbrk-down", lazy_memory, shrink},
    {"fault-lazy", lazy_memory, touch_lazy},
    {"fault-shared", sleeping_child, touch_shared},
    {"kill", sleeping_child, kill_it},
    {"sleep", NULL, nap},
    {"dup", NULL, duplicate},
    {"print", NULL, print},
    {"bad-pointer", small_file, bad_pointer},
    {"ask", NULL, ask},
    {"limit", NULL, limit},
    {"sync", small_file, sync_it},
    {"fault-null", NULL, fault},
    {"fault-illegal", NULL, illegal},
    {"float", NULL, floating},
    {"spin", NULL, spin},
    {"exit", everything, leave},
    {NULL, NULL, NULL},
};
