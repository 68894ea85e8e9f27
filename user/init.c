// SPDX-License-Identifier: MIT
//
// The first process: open the console three times, make /crash, run shells for ever.
// With words after its own name it runs that program instead, and powers off with its status when
// it ends (255 if it was killed).  With -p before them it shows before that, to the grader at its
// stub, that processes still work.  It waits for every orphan.
//
// The end of this process is the end of the machine, so it never ends for want of anything: what
// fails it says once, and goes on trying.

#include "user/user.h"

// The kernel has made the node, or given the console without it.
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
    fprintf(2, "init: /console was not the console: it is called console.old now\n");
}

// Return whether there is /crash and reading it works.
static bool crash_works(void) {
  char c;
  int fd = open("crash", O_RDONLY);
  bool works = fd >= 0 && read(fd, &c, 1) >= 0;
  close(fd);
  return works;
}

// Make /crash.  An older image has it under a number that means nothing any more.
static void make_crash(void) {
  if (crash_works())
    return;
  unlink("crash");
  if (mknod("crash", DEV_CRASH, 0) < 0)
    fprintf(2, "init: cannot make /crash (the disk may be full)\n");
  else if (!crash_works())
    unlink("crash");  // this kernel is built without it
}

static bool told;  // that something is wanting, since the last attempt that succeeded

// Say so once, and let time pass for others to give back what is wanting.
static void hold_out(const char *what, const char *name) {
  if (!told)
    fprintf(2, "init: cannot %s %s now (no memory, too many processes?); it goes on trying\n", what,
            name);
  told = true;
  sleep(10);
}

// Start the program, in the end.  A child that cannot run it ends, or goes on trying, too.
static int start(char *const argv[], bool give_up) {
  int pid;
  told = false;
  while ((pid = fork()) < 0) {
    hold_out("start", argv[0]);
    while (reap(NULL) > 0)
      ;  // orphans that have ended are processes, too
  }
  while (pid == 0 && exec(argv[0], argv) < 0) {
    if (give_up) {
      fprintf(2, "init: cannot run %s\n", argv[0]);
      exit(127);
    }
    hold_out("run", argv[0]);
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
      return -1;
  }
}

// What the child makes of a value.
static uint64 scramble(uint64 value) {
  for (int i = 0; i < 1000; i++)
    value = value * 6364136223846793005 + 1442695040888963407;
  return value;
}

// Show that the kernel still works, when the program has ended: have a child send back through a
// pipe what it makes of the value, and end.  Returns that, or 0.  A debugger may change the value.
uint64 prove(uint64 value);

__attribute__((noinline)) uint64 prove(uint64 value) {
  int p[2], pid;
  if (pipe(p) < 0 || (pid = fork()) < 0)
    return 0;
  if (pid == 0) {
    value = scramble(value);
    writeall(p[1], &value, sizeof(value));
    exit((int)(value & 127));
  }
  close(p[1]);
  if (read(p[0], &value, sizeof(value)) != sizeof(value) || wait_for(pid) != (int)(value & 127))
    return 0;
  close(p[0]);
  return value;
}

// And have it seen.
void finish(int status, uint64 proof);

__attribute__((noinline)) void finish(int status, uint64 proof) {
  if (!proof)
    fprintf(2, "init: processes no longer work\n");
  poweroff(status);
}

int main(int argc, char *argv[]) {
  open_console();
  make_crash();
  bool proves = argc > 2 && strcmp(argv[1], "-p") == 0;
  if (argc > 1) {
    int status = wait_for(start(argv + 1 + proves, true)) & 255;
    finish(status, proves ? prove((uint64)status + 1) : 1);
  }
  for (;;) {
    printf("init: starting sh\n");
    if (wait_for(start(ARGS("sh"), false)) < 0)
      sleep(10);  // it was killed, maybe at once: do not flood the console
  }
}
