// SPDX-License-Identifier: MIT
//
// storm -l | HARTS: do what each line of the console says with little of the kernel stack, and
// count what there is afterwards.  test/tools/storm types the lines (docs/storm.md).  -l lists the
// deeds.
//
//   ROOM NAME...   do the deeds NAME (user/storm/deeds.c) at the same time, each with ROOM bytes of
//                  its kernel stack, or with all of it if ROOM is 0; test:NAME is that test of
//                  usertests.  If ROOM is N/SPARE, the hart has so many spare pages when the stack
//                  gets that small.  If ROOM is at, the device of provoke is called just before the
//                  deed, where a debugger can wait.
//
// Then all other processes are killed and the files removed, so that nothing may be missing.  A
// line "storm: done ..." ends the step: deeds that were killed, bytes of memory free and promised,
// processes, stacks in use, what sync has returned, and how often stacks have grown so far.

#include "user/storm/storm.h"

#define WORDS_MAX     8
#define PROCESSES_MAX 64
#define PATIENCE      10   // ticks, for what is still exiting, and for its stack
#define STEP_TICKS    300  // a test may wait for a process that was killed
#define TEST_FOLDER   "/usertests.tmp"

static char line[200];
static struct process_info processes[PROCESSES_MAX];
static struct memory_info expected;  // what there was after the last step
static int guard;                    // the process that ends what takes too long

// Write to the device that provokes faults.  Returns its descriptor.
static int ask_kernel(const char *what, const char *bytes) {
  char command[48];
  int n = snprintf(command, sizeof(command), "%s %s", what, bytes);
  int fd = open("/crash", O_WRONLY);
  if (fd < 0 || write(fd, command, n) != n)
    die("storm: the kernel refuses %s %s", what, bytes);
  return fd;
}

// Remove all that is in the current folder.
static void empty_folder(void) {
  struct dirent entry;
  char name[DIRSIZ + 1] = "";
  int fd = open(".", O_RDONLY);
  while (read(fd, &entry, sizeof(entry)) == sizeof(entry)) {
    memcpy(name, entry.name, DIRSIZ);
    if (entry.inum == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlink(name) == 0 ||
        chdir(name) < 0)
      continue;
    empty_folder();
    chdir("..");
    unlink(name);
  }
  close(fd);
}

static void remove_folder(const char *path) {
  if (chdir(path) == 0)
    empty_folder();
  chdir("/");
  unlink(path);
}

static const struct deed *find(const char *name) {
  for (const struct deed *d = deeds; d->name; d++)
    if (strcmp(d->name, name) == 0)
      return d;
  die("storm: there is no deed %s", name);
}

static _Noreturn void do_deed(const char *room, const char *name, const char *folder) {
  if (strncmp(name, "test:", 5) == 0) {
    exec("/usertests", ARGS("usertests", "-r", room, name + 5));
    die("storm: cannot run usertests");
  }
  const struct deed *d = find(name);
  mkdir(folder);
  chdir(folder);
  if (d->prepare)
    d->prepare();
  const char *spare = strchr(room, '/');
  char command[32];
  snprintf(command, sizeof(command), "%s STACK_ROOM %d", spare ? spare + 1 : "", atoi(room));
  if (strcmp(room, "at") == 0)
    ask_kernel("STACK_USE", "16");
  else if (spare)
    ask_kernel("SPARE", command);
  else if (atoi(room) > 0)
    ask_kernel("STACK_ROOM", room);
  d->run();
  exit(0);
}

static int start(const char *room, const char *name, int number) {
  char folder[] = "/w0";
  folder[2] = (char)('0' + number);
  int pid = fork();
  if (pid == 0)
    do_deed(room, name, folder);
  return pid;
}

// Start the guard: it kills the deeds after a while, and ends the machine if that does not help.
static int start_guard(int count, const int pid[]) {
  int guarding = fork();
  if (guarding != 0)
    return guarding;
  sleep(STEP_TICKS);
  for (int i = 1; i < count; i++)
    kill(pid[i]);
  sleep(STEP_TICKS);
  printf("storm: the step HANGS\n");
  exit(poweroff(99));
}

// Do the deeds.  Returns how many were killed.
static int do_deeds(int count, char *word[]) {
  int pid[WORDS_MAX], killed = 0, ended = 0, status;
  for (int i = 1; i < count; i++)
    pid[i] = start(word[0], word[i], i);
  guard = start_guard(count, pid);
  while (ended < count - 1) {
    int who = wait(&status);
    if (who < 0)
      die("storm: a process is missing");
    for (int i = 1; i < count; i++)
      if (pid[i] == who) {
        ended++;
        killed += status == -1;
      }
  }
  return killed;
}

// Kill all but the first process, this one, and the guard.  Returns how many there are.
static int kill_others(void) {
  int n = procinfo(processes, PROCESSES_MAX);
  for (int i = 0; i < n && i < PROCESSES_MAX; i++)
    if (processes[i].pid > 1 && processes[i].pid != getpid() && processes[i].pid != guard)
      kill(processes[i].pid);
  while (reap(NULL) >= 0)
    ;
  return procinfo(processes, PROCESSES_MAX);
}

static uint64 stacks_used(const struct memory_info *m) {
  return m->stacks - m->cached;
}

// Return whether there is less than after the last step.
static bool is_missing(struct memory_info *m) {
  meminfo(m);
  return expected.total && (m->free < expected.free || stacks_used(m) > stacks_used(&expected));
}

// Leave nothing of a step, and print what there is.
static void settle(int killed) {
  struct memory_info m = {0};
  char folder[] = "/w1";
  for (int i = 0; i < PATIENCE && kill_others() > 3; i++)
    sleep(1);
  for (; folder[2] < '0' + WORDS_MAX; folder[2]++)
    remove_folder(folder);
  remove_folder(TEST_FOLDER);
  int synced = sync();
  if (guard > 0) {
    kill(guard);
    wait(NULL);
    guard = 0;
  }
  for (int i = 0; is_missing(&m) && i < PATIENCE; i++)
    sleep(1);
  expected = m;
  printf("storm: done killed=%d bytes=%lu promised=%lu processes=%d stacks=%lu sync=%d grown=%lu\n",
         killed, m.free, m.reserved, procinfo(processes, PROCESSES_MAX), stacks_used(&m), synced,
         m.grown);
}

// Run on each hart once: when it is idle again, it has the spare pages that a hart keeps.
static void visit(int harts) {
  char command[32];
  for (int i = 0; i < harts; i++) {
    snprintf(command, sizeof(command), "ON_HART %d STACK_USE", i);
    close(ask_kernel(command, "16"));
  }
  sleep(2);
}

// Cut the line into words at blanks.  Returns how many there are.
static int split(char *word[]) {
  int n = 0;
  for (char *s = line; n < WORDS_MAX;) {
    while (*s == ' ' || *s == '\n')
      *s++ = 0;
    if (!*s)
      break;
    word[n++] = s;
    while (*s && *s != ' ' && *s != '\n')
      s++;
  }
  return n;
}

int main(int argc, char *argv[]) {
  char *word[WORDS_MAX];
  if (argc == 2 && strcmp(argv[1], "-l") == 0) {
    for (const struct deed *d = deeds; d->name; d++)
      printf("%s\n", d->name);
    return 0;
  }
  int harts = argc == 2 ? atoi(argv[1]) : 0;
  if (harts < 1)
    die("usage: storm -l | HARTS");
  visit(harts);
  settle(0);
  while (*gets(line, sizeof(line))) {
    int count = split(word);
    settle(count > 1 ? do_deeds(count, word) : 0);
  }
  return 0;
}
