// SPDX-License-Identifier: MIT
//
// A program from elsewhere: it knows nothing of this tree, only the interface's numbers and
// layouts, written here once more.  Built in the older way (OLD: one segment that may do all, main
// is the entry and never returns) and in the newer (segments of their own, a routine that calls
// main, a second argument to sbrk).
//
// compat WORD NAME: checks what such programs rely on, starts itself again as NAME, and prints WORD
// from there.  Exit status 7, or 1 and the number of the line that failed.

typedef unsigned long uint64;

int fork(void);
int exit(int) __attribute__((noreturn));
int wait(int *);
int pipe(int *);
int read(int, void *, int);
int write(int, const void *, int);
int kill(int);
int exec(const char *, char **);
int chdir(const char *);
int dup(int);
int getpid(void);
int pause(int);
int uptime(void);
int open(const char *, int);
int mknod(const char *, short, short);
int unlink(const char *);
int link(const char *, const char *);
int mkdir(const char *);
int close(int);
int nothing(void);
char *sbrk(int, int);
#ifdef OLD
#define EAGER 0x7777  // its sbrk has one argument, so that a1 holds whatever it holds
#else
#define EAGER 1
#define LAZY  2
#endif

struct stat {
  int dev;
  unsigned int ino;
  short type;
  short nlink;
  uint64 size;
};
int fstat(int, struct stat *);

struct dirent {
  unsigned short inum;
  char name[14];
};

enum { RDONLY, WRONLY, RDWR, CREATE = 0x200, TRUNC = 0x400 };

static const char constant[] = "constant";
static int initialized = 41;
static int cleared[3000];

static int length(const char *s) {
  int n = 0;
  while (s[n])
    n++;
  return n;
}

static int same(const char *a, const char *b) {
  while (*a && *a == *b)
    a++, b++;
  return *a == *b;
}

static void print(const char *s) {
  write(1, s, length(s));
}

static void fail(int line) {
  char digits[5] = "0000";
  for (int i = 3; i >= 0; i--, line /= 10)
    digits[i] = '0' + line % 10;
  print("compat: failed at line ");
  print(digits);
  print("\n");
  exit(1);
}

#define must(condition) ((condition) ? (void)0 : fail(__LINE__))

// Run f in a child.  Returns its status.
static int in_child(void (*f)(void)) {
  int status = 99, pid = fork();
  must(pid >= 0);
  if (pid == 0) {
    f();
    exit(0);
  }
  must(wait(&status) == pid);
  return status;
}

static void write_text(void) {
  *(volatile int *)(void *)in_child = 0;
}

static void read_below_stack(void) {
  (void)*(volatile char *)(((uint64)__builtin_frame_address(0) & ~4095UL) - 8);
}

static void read_kernel(void) {
  (void)*(volatile char *)0x80000000UL;
}

static void test_memory(void) {
  must(same(constant, "constant") && ++initialized == 42);
  for (int i = 0; i < 3000; i++)
    must(cleared[i]++ == 0);
  must(in_child(write_text) == TEXT_WRITABLE - 1);
  must(in_child(read_below_stack) == -1);
  must(in_child(read_kernel) == -1);
}

static void test_sbrk(void) {
  char *old = sbrk(0, EAGER);
  must(((uint64)old & 4095) == 0);
  must(sbrk(5000, EAGER) == old);
  for (int i = 0; i < 5000; i++)
    must(old[i] == 0);
  old[4999] = 1;
  must(sbrk(-5000, EAGER) == old + 5000 && sbrk(0, EAGER) == old);
  must(sbrk(1000 * 1024 * 1024, EAGER) == (char *)-1);
  must(sbrk((int)0x80000004, EAGER) == old && sbrk(-(int)(long)old - 1, EAGER) == old);
  must(sbrk(0, EAGER) == old);
#ifdef LAZY
  must(sbrk(1 << 30, LAZY) == old);
  old[123456789] = 7;
  must(old[123456789] == 7 && old[987654321] == 0);
  must(sbrk(-(1 << 30), EAGER) == old + (1 << 30));
#endif
}

static void exit_5(void) {
  exit(5);
}

static void test_processes(void) {
  must(in_child(exit_5) == 5);
  must(wait(0) == -1);
  int pid = fork();
  if (pid == 0)
    for (;;)
      pause(1);
  int status;
  must(kill(pid) == 0 && wait(&status) == pid && status == -1);
  must(kill(pid) == -1 && nothing() == -1);
  int before = uptime();
  must(pause(2) == 0 && uptime() - before >= 2);
}

static void test_pipe(void) {
  int fd[2];
  char buf[8];
  must(pipe(fd) == 0 && fd[0] == 3 && fd[1] == 4);
  if (fork() == 0) {
    must(close(fd[0]) == 0 && write(fd[1], "hello", 5) == 5);
    exit(0);
  }
  must(close(fd[1]) == 0 && read(fd[0], buf, 5) == 5 && buf[4] == 'o');
  must(read(fd[0], buf, 5) == 0 && wait(0) > 0 && close(fd[0]) == 0);
  must(close(fd[0]) == -1 && read(3, buf, 1) == -1 && write(99, buf, 1) == -1);
}

static void test_files(void) {
  struct stat st;
  char buf[600];
  int fd = open("new", CREATE | RDWR);
  must(fd == 3 && dup(fd) == 4 && close(4) == 0 && write(fd, "contents", 8) == 8);
  must(fstat(fd, &st) == 0 && st.dev == 1 && st.type == 2 && st.nlink == 1 && st.size == 8);
  must(link("new", "other") == 0 && fstat(fd, &st) == 0 && st.nlink == 2);
  must(close(fd) == 0 && unlink("new") == 0 && open("new", RDONLY) == -1);
  fd = open("other", RDONLY);
  must(read(fd, buf, sizeof(buf)) == 8 && buf[7] == 's' && write(fd, buf, 1) == -1);
  must(close(fd) == 0 && (fd = open("other", WRONLY | TRUNC)) == 3);
  must(fstat(fd, &st) == 0 && st.size == 0 && read(fd, buf, 1) == -1 && close(fd) == 0);
  must(unlink("other") == 0 && unlink("other") == -1);
}

static void test_directories(void) {
  struct stat st;
  struct dirent e;
  must(mkdir("sub") == 0 && mkdir("sub") == -1 && chdir("sub") == 0);
  int fd = open("fourteenletter", CREATE | RDWR);
  must(fd == 3 && close(fd) == 0 && (fd = open(".", RDONLY)) == 3);
  must(fstat(fd, &st) == 0 && st.type == 1 && st.size == 3 * sizeof(e));
  must(read(fd, &e, sizeof(e)) == sizeof(e) && same(e.name, ".") && e.inum == st.ino);
  must(read(fd, &e, sizeof(e)) == sizeof(e) && same(e.name, "..") && e.inum == 1);
  must(read(fd, &e, sizeof(e)) == sizeof(e) && e.name[0] == 'f' && e.name[13] == 'r');
  must(read(fd, &e, sizeof(e)) == 0 && close(fd) == 0 && open(".", RDWR) == -1);
  must(chdir("..") == 0 && unlink("sub") == -1 && unlink("sub/fourteenletter") == 0);
  must(unlink("sub") == 0 && chdir("sub") == -1);
  must(mknod("device", 1, 0) == 0 && (fd = open("device", WRONLY)) == 3);
  must(fstat(fd, &st) == 0 && st.type == 3 && close(fd) == 0 && unlink("device") == 0);
}

int main(int argc, char *argv[]) {
  must(argc == 3 && argv[3] == 0 && ((uint64)argv & 15) == 0);
  if (same(argv[2], "again")) {
    print(argv[1]);
    print("\n");
    exit(7);
  }
  test_memory();
  test_sbrk();
  test_processes();
  test_pipe();
  test_files();
  test_directories();
  must(getpid() > 1);
  char *name = argv[2];
  char *args[] = {name, argv[1], "again", 0}, *none[] = {0};
  must(exec("/nothing", none) == -1);
  exec(name, args);
  fail(__LINE__);
  return 3;
}

#ifndef OLD
void start(int argc, char *argv[]);
void start(int argc, char *argv[]) {
  exit(main(argc, argv));
}
#endif
