// SPDX-License-Identifier: MIT
//
// provoke [NAME [argument...]]: make the kernel run one of its faults in this process, by writing
// its name to the device /crash.  Alone: list them.

#include "user/user.h"

static char text[512];

static void list(int fd) {
  int n;
  while ((n = read(fd, text, sizeof(text))) > 0)
    writeall(1, text, n);
}

int main(int argc, char *argv[]) {
  int fd = open("/crash", O_RDWR);
  if (fd < 0)
    die("provoke: cannot open /crash (this kernel may be built without it)");
  if (argc == 1) {
    list(fd);
    return 0;
  }
  int n = 0;
  for (int i = 1; i < argc; i++) {
    n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s", argv[i], i + 1 < argc ? " " : "");
    if (n >= (int)sizeof(text))
      die("provoke: too many arguments");
  }
  if (write(fd, text, n) != n)
    die("provoke: %s is not in the list (provoke alone prints it)", argv[1]);
  printf("%s survived\n", argv[1]);
  return 0;
}
