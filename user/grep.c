// SPDX-License-Identifier: MIT
//
// grep [-cinv] pattern [file...]: print the lines that match.  The pattern knows ^ $ . and c*.
// Exits with 0 when a line was printed, 1 when none was, 2 on trouble.

#include "user/user.h"

#define LINE_MAX 4096

static char line[LINE_MAX];
static char buf[4096];
static bool only_count, ignore_case, numbers, invert;
static bool found, trouble;

static bool same(char p, char c) {
  if (p == '.')
    return true;
  return ignore_case ? tolower(p) == tolower(c) : p == c;
}

static bool match_here(const char *p, const char *s);

// Match c* and then the pattern p at s, as early as possible.
static bool match_star(char c, const char *p, const char *s) {
  do
    if (match_here(p, s))
      return true;
  while (*s && same(c, *s++));
  return false;
}

static bool match_here(const char *p, const char *s) {
  for (;; p++, s++) {
    if (*p == 0)
      return true;
    if (p[1] == '*')
      return match_star(*p, p + 2, s);
    if (*p == '$' && p[1] == 0)
      return *s == 0;
    if (*s == 0 || !same(*p, *s))
      return false;
  }
}

static bool match(const char *p, const char *s) {
  if (*p == '^')
    return match_here(p + 1, s);
  do
    if (match_here(p, s))
      return true;
  while (*s++);
  return false;
}

struct input {
  const char *name;  // shown before each line, or NULL
  uint64 line;
  uint64 count;
};

static void take_line(const char *pattern, struct input *in) {
  in->line++;
  if (match(pattern, line) == invert)
    return;
  in->count++;
  found = true;
  if (only_count)
    return;
  if (in->name)
    printf("%s:", in->name);
  if (numbers)
    printf("%lu:", in->line);
  printf("%s\n", line);
}

// A line longer than the buffer is searched as far as it fits.
static void search(const char *pattern, int fd, struct input *in) {
  int length = 0, n;
  bool pending = false;
  while ((n = read(fd, buf, sizeof(buf))) > 0)
    for (int i = 0; i < n; i++) {
      pending = buf[i] != '\n';
      if (pending && length < LINE_MAX - 1)
        line[length++] = buf[i];
      if (pending)
        continue;
      line[length] = 0;
      take_line(pattern, in);
      length = 0;
    }
  line[length] = 0;
  if (pending)
    take_line(pattern, in);
  if (n < 0)
    trouble = true;
  if (only_count)
    printf("%s%s%lu\n", in->name ? in->name : "", in->name ? ":" : "", in->count);
}

static void search_file(const char *pattern, const char *name, bool show_name) {
  struct input in = {.name = show_name ? name : NULL};
  int fd = open(name, O_RDONLY);
  if (fd < 0) {
    fprintf(2, "grep: cannot open %s\n", name);
    trouble = true;
    return;
  }
  search(pattern, fd, &in);
  close(fd);
}

static void take_options(int argc, char *argv[]) {
  for (int c; (c = getopt(argc, argv, "cinv")) != -1;) {
    only_count |= c == 'c';
    ignore_case |= c == 'i';
    numbers |= c == 'n';
    invert |= c == 'v';
    if (c == '?')
      exit(2);
  }
}

int main(int argc, char *argv[]) {
  take_options(argc, argv);
  if (optind == argc) {
    fprintf(2, "usage: grep [-cinv] pattern [file...]\n");
    return 2;
  }
  const char *pattern = argv[optind++];
  if (optind == argc)
    search(pattern, 0, &(struct input){.name = NULL});
  for (int i = optind; i < argc; i++)
    search_file(pattern, argv[i], argc - optind > 1);
  return trouble ? 2 : !found;
}
