// SPDX-License-Identifier: MIT
//
// ls [path...]: name, type (1 directory, 2 file, 3 device), inode, size.

#include "user/user.h"

static char path[512];

static int show(const char *name, const char *full) {
  struct stat st;
  if (stat(full, &st) < 0) {
    fprintf(2, "ls: cannot open %s\n", full);
    return 1;
  }
  printf("%-14s %d %3u %lu\n", name, st.type, st.ino, st.size);
  return 0;
}

static int list_directory(int fd, const char *name) {
  struct dirent entry;
  int failed = 0;
  size_t length = strlcpy(path, name, sizeof(path) - DIRSIZ - 2);
  if (length >= sizeof(path) - DIRSIZ - 2) {
    fprintf(2, "ls: path too long\n");
    return 1;
  }
  path[length++] = '/';
  while (read(fd, &entry, sizeof(entry)) == sizeof(entry)) {
    if (entry.inum == 0)
      continue;
    memcpy(path + length, entry.name, DIRSIZ);
    path[length + DIRSIZ] = 0;
    failed |= show(path + length, path);
  }
  return failed;
}

static int list(const char *name) {
  struct stat st;
  int fd = open(name, O_RDONLY);
  if (fd < 0 || fstat(fd, &st) < 0) {
    fprintf(2, "ls: cannot open %s\n", name);
    return 1;
  }
  int failed = st.type == T_DIR ? list_directory(fd, name) : show(name, name);
  close(fd);
  return failed;
}

int main(int argc, char *argv[]) {
  int failed = 0;
  if (argc == 1)
    return list(".");
  for (int i = 1; i < argc; i++)
    failed |= list(argv[i]);
  return failed;
}
