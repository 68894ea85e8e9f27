// SPDX-License-Identifier: MIT
//
// A program in the style of those for xv6: files and directories.  Exit status 0, or 1 and a line
// that says what failed.

#include "kernel/fcntl.h"
#include "kernel/fs.h"
#include "kernel/param.h"
#include "kernel/stat.h"
#include "kernel/types.h"
#include "user/user.h"

char data[BSIZE];

void fail(char *what) {
  fprintf(2, "files: %s\n", what);
  exit(1);
}

void fill(char *path, int blocks) {
  int fd = open(path, O_CREATE | O_TRUNC | O_RDWR);
  if (fd < 0)
    fail("create");
  memset(data, 'x', sizeof(data));
  for (int i = 0; i < blocks; i++)
    if (write(fd, data, BSIZE) != BSIZE)
      fail("write");
  close(fd);
}

// Returns how many names of that kind the directory has, and finds the inode of one.
int names(char *path, int type, char *wanted, uint *ino) {
  char full[MAXPATH];
  struct dirent de;
  struct stat st;
  int n = 0, fd = open(path, O_RDONLY);
  if (fd < 0 || fstat(fd, &st) < 0 || st.type != T_DIR)
    fail("no directory");
  while (read(fd, &de, sizeof(de)) == sizeof(de)) {
    if (de.inum == 0)
      continue;
    strcpy(full, path);
    char *p = full + strlen(full);
    *p++ = '/';
    memmove(p, de.name, DIRSIZ);
    p[DIRSIZ] = 0;
    if (stat(full, &st) < 0)
      fail(full);
    if (strcmp(p, wanted) == 0)
      *ino = de.inum;
    n += st.type == type;
  }
  close(fd);
  return n;
}

int main(int argc, char *argv[]) {
  struct stat st;
  uint ino = 0;
  if (mkdir("made") < 0 || chdir("made") < 0)
    fail("mkdir");
  fill("fourteenletter", NDIRECT + 2);
  if (link("fourteenletter", "other") < 0 || stat("other", &st) < 0)
    fail("link");
  if (names("/made", T_FILE, "fourteenletter", &ino) != 2 || ino != st.ino)
    fail("names");
  if (st.nlink != 2 || st.size != (NDIRECT + 2) * BSIZE || st.type != T_FILE)
    fail("stat");
  if (unlink("fourteenletter") < 0 || open("fourteenletter", O_RDONLY) >= 0)
    fail("unlink");
  if (names("..", T_DEVICE, "console", &ino) < 1 || stat("/console", &st) < 0 || st.ino != ino)
    fail("console");
  int fds[NOFILE], n = 0;
  while ((fds[n] = open("other", O_WRONLY)) >= 0)
    n++;
  if (n != NOFILE - 3)
    fail("open files");
  exit(0);
}
