// SPDX-License-Identifier: MIT
//
// crashload PROCESSES PHASES: processes change files as their scripts say, /s0, /s1 ..., which
// test/tools/crash has written.  It records what reaches the disk, and cuts the power afterwards.
//
// When calls have returned that promise something, a line "mark ..." says which.  Its writer goes
// on when it has read a line from the console: until then the host notes how far the disk was.

#include "user/user.h"

#define PROCESSES_MAX 4  // more would need more descriptors than one has
#define SCRIPT_MAX    32768
#define DATA_MAX      32768
#define WORDS_MAX     5

static char script[SCRIPT_MAX], data[DATA_MAX];
static int number;  // of this process
// Pipes: the parent lets a child begin a phase; a child has ended one; each child to the next.
static int go[PROCESSES_MAX][2], done[2], next[PROCESSES_MAX][2];

static void mark(int who, int what) {
  char c;
  printf("mark %d %d\n", who, what);
  if (read(0, &c, 1) != 1)
    die("crashload: nobody has noted the mark");
}

static void give(int fd) {
  if (write(fd, "x", 1) != 1)
    die("crashload: a process is gone");
}

static void take(int fd) {
  char c;
  if (read(fd, &c, 1) != 1)
    die("crashload: a process is gone");
}

static int open_at(const char *path, int flags, int skip) {
  int fd = open(path, flags);
  if (fd < 0 || (skip > 0 && read(fd, data, skip) != skip))
    die("crashload: cannot open %s", path);
  return fd;
}

static void write_data(int fd, int n, int seed) {
  for (int i = 0; i < n; i++)
    data[i] = (char)(seed + i * 31 + i / 256);
  if (write(fd, data, n) != n)
    die("crashload: cannot write");
}

static void expect(const char *what, const char *path, int result) {
  if (result < 0)
    die("crashload: cannot %s %s", what, path);
}

// Do what one line says.
static void step(char *word[WORDS_MAX], int line) {
  const char *path = word[1];
  int fd;
  switch (word[0][0]) {
  case 'c':
    close(open_at(path, O_CREATE | O_WRONLY, 0));
    break;
  case 'd':
    expect("make", path, mkdir(path));
    break;
  case 'l':
    expect("link", word[2], link(path, word[2]));
    break;
  case 't':
    close(open_at(path, O_WRONLY | O_TRUNC, 0));
    break;
  case 'u':
    expect("unlink", path, unlink(path));
    break;
  case 'w':  // path, bytes to pass over, bytes to write, seed
    fd = open_at(path, O_RDWR, atoi(word[2]));
    write_data(fd, atoi(word[3]), atoi(word[4]));
    close(fd);
    break;
  case 'o':  // path, bytes: a file that has no name any more grows
    fd = open_at(path, O_WRONLY, 0);
    expect("unlink", path, unlink(path));
    write_data(fd, atoi(word[2]), 0);
    close(fd);
    break;
  case 's':
    expect("sync", "the disk", sync());
    mark(number, line);
    break;
  case 'm':
    mark(number, line);
    break;
  case 'g':
    give(next[number][1]);
    break;
  case 'k':
    take(next[number - 1][0]);
    break;
  case 'b':
    give(done[1]);
    take(go[number][0]);
    break;
  default:
    die("crashload: line %d makes no sense", line);
  }
}

// Split the text into lines and words, and do each line.
static void run_script(char *text) {
  for (int line = 0; *text; line++) {
    char *word[WORDS_MAX] = {NULL};
    for (int i = 0; i < WORDS_MAX; i++) {
      word[i] = text;
      while (*text > ' ')
        text++;
      bool end = *text == '\n';
      *text++ = 0;
      if (end)
        break;
    }
    step(word, line);
  }
}

static void child(void) {
  char path[8];
  for (int i = 0; i <= number; i++)
    close(go[i][1]);
  snprintf(path, sizeof(path), "s%d", number);
  int fd = open(path, O_RDONLY);
  int n = fd < 0 ? -1 : read(fd, script, SCRIPT_MAX - 1);
  if (n < 0)
    die("crashload: cannot read /%s", path);
  close(fd);
  take(go[number][0]);
  run_script(script);
  give(done[1]);
}

int main(int argc, char *argv[]) {
  int count = argc == 3 ? atoi(argv[1]) : 0, phases = argc == 3 ? atoi(argv[2]) : 0, status = 0;
  if (count < 1 || count > PROCESSES_MAX || phases < 1)
    die("usage: crashload PROCESSES PHASES");
  expect("make", "a pipe", pipe(done));
  for (int i = 0; i + 1 < count; i++)
    expect("make", "a pipe", pipe(next[i]));
  for (number = 0; number < count; number++) {
    expect("make", "a pipe", pipe(go[number]));
    int pid = fork();
    expect("fork", "a child", pid);
    if (pid == 0) {
      child();
      return 0;
    }
    close(go[number][0]);
  }
  for (int phase = 0; phase < phases; phase++) {
    for (int i = 0; i < count; i++)
      give(go[i][1]);
    for (int i = 0; i < count; i++)
      take(done[0]);
    mark(-1, phase);
  }
  for (int failed, i = 0; i < count; i++)
    status |= wait(&failed) < 0 || failed != 0;
  return status;
}
