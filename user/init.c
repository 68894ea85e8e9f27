// SPDX-License-Identifier: MIT
//
// The first process: make the devices, open the console three times, run shells for ever.
// With words after its own name it runs that program instead, and powers off with its status when
// it ends (255 if it was killed).  It waits for every orphan.

#include "user/user.h"

static void open_console(void) {
  mknod("console", DEV_CONSOLE, 0);  // they may exist already
  mknod("crash", DEV_CRASH, 0);
  if (open("console", O_RDWR) != 0 || dup(0) != 1 || dup(0) != 2)
    exit(1);
}

static int start(char *const argv[]) {
  int pid = fork();
  if (pid < 0)
    die("init: cannot fork");
  if (pid == 0) {
    exec(argv[0], argv);
    fprintf(2, "init: cannot run %s\n", argv[0]);
    exit(127);
  }
  return pid;
}

// Wait for the process, and for the orphans that end before it.  Returns its status.
static int wait_for(int pid) {
  for (;;) {
    int status, ended = wait(&status);
    if (ended == pid)
      return status;
    if (ended < 0)
      die("init: wait failed");
  }
}

int main(int argc, char *argv[]) {
  open_console();
  if (argc > 1)
    poweroff(wait_for(start(argv + 1)) & 255);
  for (;;) {
    printf("init: starting sh\n");
    if (wait_for(start(ARGS("sh"))) == 127)
      sleep(10);  // there may be no shell: do not flood the console
  }
}
