// SPDX-License-Identifier: MIT
//
// Use all that a disk holds, as ls, cat, a writer and rm do.  The disk may be damaged: what a call
// answers does not matter, as long as it comes back.

#include "user/fuzz/fuzz.h"

#define PATH_MOST  100
#define NAMES_MOST 150  // in one pass, since directories may contain each other
#define DEPTH_MOST 6

enum pass { READ, CHANGE, REMOVE, PASSES };

static char data[3000];
static char path[PATH_MOST + DIRSIZ + 2];
static int names;

static void read_all(int fd) {
  for (int i = 0; i < 100 && read(fd, data, sizeof(data)) > 0; i++)
    ;
}

static void change(const char *name) {
  int fd = open(name, O_RDWR);
  if (fd >= 0) {
    read_all(fd);
    write(fd, data, sizeof(data));
    close(fd);
  }
  fd = open(name, O_WRONLY | O_TRUNC);
  write(fd, data, 100);
  close(fd);
  link(name, "fzl");
  mkdir("fzd");
  close(open("fzf", O_CREATE | O_WRONLY));
  unlink("fzf");
  unlink("fzl");
}

// Returns whether it is a directory to enter.
static bool visit(const char *name, enum pass pass) {
  struct stat st = {.type = T_FILE};
  int fd = open(name, O_RDONLY);
  fstat(fd, &st);
  if (st.type != T_DEVICE)  // the console would wait
    read_all(fd);
  close(fd);
  if (pass == CHANGE && st.type != T_DEVICE)
    change(name);
  if (pass == REMOVE)
    unlink(name);
  return st.type == T_DIR && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
         strcmp(name, "fzd") != 0;
}

// Walk the directory that path names.
static void walk(enum pass pass, int depth) {
  struct dirent entry;
  char name[DIRSIZ + 1] = "";
  size_t length = strlen(path);
  int fd = open(path, O_RDONLY);
  while (names < NAMES_MOST && read(fd, &entry, sizeof(entry)) == sizeof(entry)) {
    chdir(path);
    memcpy(name, entry.name, DIRSIZ);
    if (entry.inum == 0 && !one_in(20))
      continue;
    names++;
    if (!visit(name, pass) || depth == DEPTH_MOST || length + DIRSIZ + 2 > PATH_MOST)
      continue;
    snprintf(path + length, sizeof(path) - length, "%s/", name);
    walk(pass, depth + 1);
    path[length] = 0;
    chdir(path);
    if (pass == REMOVE)
      unlink(name);
  }
  close(fd);
}

int walk_disk(void) {
  int all = 0;
  for (enum pass pass = READ; pass < PASSES; pass++) {
    strcpy(path, "/");
    names = 0;
    walk(pass, 0);
    all += names;
  }
  printf("fuzz: walked %d names, sync %s\n", all, sync() < 0 ? "failed" : "worked");
  return 0;
}
