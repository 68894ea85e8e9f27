// SPDX-License-Identifier: MIT
//
// The first process: open the console three times, make /crash, run shells for ever.
// With words after its own name it runs that program instead, and powers off with its status when
// it ends (255 if it was killed).  -p before them is for the grader (user/init/prove.c).  It waits
// for every orphan.
//
// When this process ends the machine stops, so no failure ends it: it reports the failure once and
// tries again.

#include "user/init/init.h"

// Open the console as descriptors 0 to 2.  The kernel has made its node, or has opened it already
// because it could not.
static void open_console(void) {
  struct stat st;
  if (write(2, "", 0) == 0)
    return;
  bool found = open("console", O_RDWR) == 0 && fstat(0, &st) == 0 && st.type == T_DEVICE &&
               write(0, "", 0) == 0;
  if (!found && link("console", "console.old") == 0 && unlink("console") == 0) {
    close(0);
    mknod("console", DEV_CONSOLE, 0);
    open("console", O_RDWR);
  }
  dup(0);
  dup(0);
  if (!found)
    fprintf(2, "init: /console was not the console; it is now /console.old\n");
}

// Return whether there is /crash and reading it works.
static bool crash_works(void) {
  char c;
  int fd = open("crash", O_RDONLY);
  bool works = fd >= 0 && read(fd, &c, 1) >= 0;
  close(fd);
  return works;
}

// Make /crash.  An older image may have it with a device number that is no longer used.
static void make_crash(void) {
  if (crash_works())
    return;
  unlink("crash");
  if (mknod("crash", DEV_CRASH, 0) < 0)
    fprintf(2, "init: cannot make /crash (the disk may be full)\n");
  else if (!crash_works())
    unlink("crash");  // this kernel is built without it
}

static bool told;  // of a failure since the last success

// Report a failure, unless the last attempt failed too, and give others a second to free what is
// missing.
static void wait_to_retry(const char *what, const char *name) {
  if (!told)
    fprintf(2,
            "init: cannot %s %s (no memory, or too many processes?); trying again every second\n",
            what, name);
  told = true;
  sleep(10);
}

// Start the program, trying until that works.  A child that cannot run it exits if it may give up;
// else it keeps trying, too.
static int start(char *const argv[], bool give_up) {
  int pid;
  told = false;
  while ((pid = fork()) < 0) {
    wait_to_retry("start", argv[0]);
    while (reap(NULL) > 0)
      ;  // orphans that have ended still count as processes
  }
  while (pid == 0 && exec(argv[0], argv) < 0) {
    if (give_up) {
      fprintf(2, "init: cannot run %s\n", argv[0]);
      exit(127);
    }
    wait_to_retry("run", argv[0]);
  }
  return pid;
}

int wait_for(int pid) {
  for (;;) {
    int status, ended = wait(&status);
    if (ended == pid)
      return status;
    if (ended < 0)
      return -1;
  }
}

int main(int argc, char *argv[]) {
  open_console();
  make_crash();
  bool proves = argc > 2 && strcmp(argv[1], "-p") == 0;
  if (argc > 1) {
    int status = wait_for(start(argv + 1 + proves, true)) & 255;
    if (proves)
      prove_and_finish(status);
    poweroff(status);
  }
  for (;;) {
    printf("init: starting sh\n");
    if (wait_for(start(ARGS("sh"), false)) < 0)
      sleep(10);  // it was killed, perhaps at once: do not flood the console
  }
}
