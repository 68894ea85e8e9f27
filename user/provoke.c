// SPDX-License-Identifier: MIT
//
// provoke [-n COUNT] [-j AT_ONCE] [NAME [argument...]]: make the kernel run one of its faults in
// this process, by writing its name to the device /crash.  Without a name: list them.
//
// provoke room=N PROGRAM [argument...]: run a program that has only N bytes of its kernel stack,
// and so do its children.
//
// With -n or -j children do it, COUNT in all and AT_ONCE at a time.  Each must exit with status -1,
// and afterwards as many pages must be free as before.

#include "user/user.h"

static char text[512];

static void list(int fd) {
  int n;
  while ((n = read(fd, text, sizeof(text))) > 0)
    writeall(1, text, n);
}

// Put the words into text, with a blank between two.  Returns the length.
static int join(int argc, char *argv[]) {
  int n = 0;
  for (int i = 0; i < argc; i++) {
    n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s", argv[i], i + 1 < argc ? " " : "");
    if (n >= (int)sizeof(text))
      die("provoke: too many arguments");
  }
  return n;
}

static void provoke_once(int fd, const char *name, int n) {
  if (write(fd, text, n) != n)
    die("provoke: the kernel refuses this %s (provoke alone lists what there is)", name);
  printf("%s survived\n", name);
}

static _Noreturn void run_in_room(int fd, char *argv[]) {
  char path[64];
  if (!argv[1])
    die("usage: provoke room=N PROGRAM [argument...]");
  int n = snprintf(text, sizeof(text), "STACK_ROOM %s", argv[0] + strlen("room="));
  if (write(fd, text, n) != n)
    die("provoke: %s is refused: N is a number of bytes", argv[0]);
  close(fd);
  exec(argv[1], argv + 1);
  snprintf(path, sizeof(path), "/%s", argv[1]);
  exec(path, argv + 1);
  die("provoke: cannot run %s", argv[1]);
}

// Wait for one child.  Returns whether the kernel had killed it.
static int was_killed(void) {
  int status;
  if (wait(&status) < 0)
    die("provoke: a child is missing");
  return status == -1;
}

static int provoke_many(int fd, const char *name, int n, int count, int at_once) {
  long before = free_pages();
  int killed = 0, running = 0;
  for (int i = 0; i < count; i++) {
    if (running == at_once) {
      killed += was_killed();
      running--;
    }
    int pid = fork();
    if (pid < 0)
      die("provoke: cannot fork");
    if (pid == 0) {
      provoke_once(fd, name, n);
      exit(0);
    }
    running++;
  }
  while (running-- > 0)
    killed += was_killed();
  long lost = pages_lost(before, free_pages());
  printf("provoke: %d of %d killed, %ld pages lost\n", killed, count, lost);
  return killed != count || lost != 0;
}

int main(int argc, char *argv[]) {
  int count = 0, at_once = 1, c;
  while ((c = getopt(argc, argv, "n:j:")) > 0) {
    int value = c == '?' ? 0 : atoi(optarg);
    if (value < 1)
      die("usage: provoke [-n COUNT] [-j AT_ONCE] [NAME [argument...]]");
    *(c == 'n' ? &count : &at_once) = value;
  }
  int fd = open("/crash", O_RDWR);
  if (fd < 0)
    die("provoke: cannot open /crash (this kernel may be built without it)");
  if (optind == argc) {
    list(fd);
    return 0;
  }
  if (strncmp(argv[optind], "room=", 5) == 0) {
    if (count || at_once > 1)
      die("provoke: -n and -j run tests, not a program: room=N stands alone");
    run_in_room(fd, argv + optind);
  }
  int n = join(argc - optind, argv + optind);
  if (count || at_once > 1)
    return provoke_many(fd, argv[optind], n, count ? count : at_once, at_once);
  provoke_once(fd, argv[optind], n);
  return 0;
}
