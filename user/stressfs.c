// SPDX-License-Identifier: MIT
//
// stressfs [-l]: five processes write a file each at the same time, and read it back; -l: for ever.

#include "user/user.h"

#define WRITERS 5
#define ROUNDS  20
#define CHUNK   512

static char data[CHUNK];

static void write_file(const char *path, int c) {
  int fd = open(path, O_CREATE | O_RDWR | O_TRUNC);
  if (fd < 0)
    die("stressfs: cannot create %s", path);
  memset(data, c, CHUNK);
  for (int i = 0; i < ROUNDS; i++)
    if (write(fd, data, CHUNK) != CHUNK)
      die("stressfs: cannot write %s", path);
  close(fd);
}

static void check_file(const char *path, int c) {
  int fd = open(path, O_RDONLY), n, total = 0;
  while ((n = read(fd, data, CHUNK)) > 0) {
    total += n;
    for (int i = 0; i < n; i++)
      if (data[i] != c)
        die("stressfs: %s has a byte of another file", path);
  }
  if (total != ROUNDS * CHUNK)
    die("stressfs: %s has %d bytes, not %d", path, total, ROUNDS * CHUNK);
  close(fd);
}

int main(int argc, char *argv[]) {
  char path[] = "stressfs0";
  int status, failed = 0;
  bool for_ever = argc == 2 && strcmp(argv[1], "-l") == 0;
  if (argc > 1 && !for_ever)
    die("usage: stressfs [-l]");
  printf("stressfs starting\n");
  for (int i = 0; i < WRITERS; i++) {
    path[8] = (char)('0' + i);
    int pid = fork();
    if (pid < 0)
      die("stressfs: cannot fork");
    if (pid == 0) {
      do {
        write_file(path, 'a' + i);
        check_file(path, 'a' + i);
        unlink(path);
      } while (for_ever);
      return 0;
    }
  }
  while (wait(&status) > 0)
    failed |= status != 0;
  printf("stressfs %s\n", failed ? "FAILED" : "OK");
  return failed;
}
