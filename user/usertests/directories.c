// SPDX-License-Identifier: MIT
//
// Directories, names and paths.

#include "user/usertests/tests.h"

#define MANY 1000  // names in a directory

static int links_of(const char *path) {
  struct stat st;
  return stat(path, &st) < 0 ? -1 : st.nlink;
}

static uint ino_of(const char *path) {
  struct stat st;
  return stat(path, &st) < 0 ? 0 : st.ino;
}

static void make_and_remove(void) {
  check(mkdir("d") == 0 && mkdir("d") == -1 && mkdir("d/e") == 0 && mkdir("x/y") == -1);
  make_file("d/f", "abc", 3);
  check(unlink("d") == -1 && unlink("d/e") == 0 && unlink("d") == -1);
  check(unlink("d/f") == 0 && unlink("d") == 0 && chdir("d") == -1 && unlink("d") == -1);
}

static void dots(void) {
  static struct dirent entries[2];
  check(mkdir("d") == 0);
  int fd = open("d", O_RDONLY);
  check(read(fd, entries, sizeof(entries)) == (int)sizeof(entries));
  check(strcmp(entries[0].name, ".") == 0 && entries[0].inum == ino_of("d"));
  check(strcmp(entries[1].name, "..") == 0 && entries[1].inum == ino_of("."));
  check(unlink("d/.") == -1 && unlink("d/..") == -1 && unlink(".") == -1 && unlink("/") == -1);
  check(mkdir("d/.") == -1 && mkdir("d/..") == -1 && mkdir("/") == -1);
  check(ino_of("/..") == 1 && ino_of("/.") == 1 && ino_of("d/../d/./.") == ino_of("d"));
  check(unlink("d") == 0);
}

static void change(void) {
  uint here = ino_of(".");
  make_file("f", "", 0);
  check(chdir("f") == -1 && chdir("nothing") == -1);
  check(mkdir("d") == 0 && chdir("d") == 0 && ino_of("..") == here);
  make_file("g", "x", 1);
  check(chdir("..") == 0 && load_file("d/g", scratch, 9) == 1 && ino_of(".") == here);
  check(chdir("/") == 0 && ino_of(".") == 1 && chdir("..") == 0 && ino_of(".") == 1);
  check(chdir("usertests.tmp") == 0 && unlink("d/g") == 0 && unlink("d") == 0 && unlink("f") == 0);
}

static void as_file(void) {
  check(mkdir("d") == 0);
  check(open("d", O_RDWR) == -1 && open("d", O_WRONLY) == -1);
  check(open("d", O_CREATE | O_RDWR) == -1 && open("d", O_RDONLY | O_CREATE) == -1);
  int fd = open("d", O_RDONLY);
  check(fd >= 0 && write(fd, "x", 1) == -1);
  close(fd);
  fd = open("d", O_RDONLY | O_TRUNC);
  check(fd == -1 || load_file("d", scratch, 100) == 32);
  check(link("d", "e") == -1 && mknod("d", 1, 1) == -1);
  check(unlink("d") == 0);
}

static void link_counts(void) {
  int here = links_of(".");
  check(mkdir("d") == 0 && links_of(".") == here + 1 && links_of("d") == 1);
  check(mkdir("d/e") == 0 && links_of("d") == 2);
  check(unlink("d/e") == 0 && links_of("d") == 1);
  check(unlink("d") == 0 && links_of(".") == here);
}

// A name keeps 14 characters; the rest does not matter.
static void long_names(void) {
  make_file("12345678901234", "abc", 3);
  check(load_file("123456789012345", scratch, 9) == 3);
  check(mkdir("12345678901234x") == -1);
  check(unlink("12345678901234yz") == 0 && open("12345678901234", O_RDONLY) == -1);
  check(mkdir("d2345678901234") == 0 && mkdir("d2345678901234/e23456789012345") == 0);
  make_file("d23456789012345/e23456789012345/f23456789012345", "x", 1);
  check(load_file("d2345678901234/e2345678901234/f2345678901234", scratch, 9) == 1);
  check(unlink("d2345678901234/e2345678901234/f2345678901234") == 0);
  check(unlink("d2345678901234/e2345678901234") == 0 && unlink("d2345678901234") == 0);
  check(open("1234567890123", O_RDONLY) == -1);
}

static void paths(void) {
  make_file("f", "abc", 3);
  char *path = long_string('/', 126);
  strcpy(path + 126 - 5, "/true");
  check(strlen(path) == 126 && ino_of(path) == ino_of("/true"));
  free(path);
  path = long_string('.', 126);
  for (int i = 1; i < 125; i += 2)
    path[i] = '/';
  path[124] = '/', path[125] = 'f';
  check(ino_of(path) == ino_of("f"));
  path = long_string('a', 4000);
  check(open(path, O_RDONLY) == -1 && open(path, O_CREATE | O_RDWR) == -1);
  check(mkdir(path) == -1 && unlink(path) == -1 && link("f", path) == -1 && chdir(path) == -1);
  check(open("f/", O_RDONLY) == -1 || ino_of("f/") == ino_of("f"));
  check(open("f/x", O_RDONLY) == -1 && open("f/..", O_RDONLY) == -1 && mkdir("f/d") == -1);
  check(ino_of("//usertests.tmp///f") == ino_of("f"));
  unlink("f");
}

static void empty_name(void) {
  make_file("f", "", 0);
  check(open("", O_CREATE | O_RDWR) == -1 && mkdir("") == -1);
  check(unlink("") == -1 && link("", "g") == -1 && link("f", "") == -1 && mknod("", 1, 1) == -1);
  check(links_of("f") == 1);
  unlink("f");
}

// Leave a directory by removing it while standing in it.
static void removed_under_feet(void) {
  check(mkdir("d") == 0 && chdir("d") == 0 && unlink("../d") == 0);
  check(open("f", O_CREATE | O_RDWR) == -1 && mkdir("e") == -1 && link("/true", "t") == -1);
  open(".", O_RDONLY);
  open("..", O_RDONLY);
  check(chdir("/usertests.tmp") == 0);
}

static void removed_by_other(void) {
  for (int i = 0; i < 5; i++) {
    check(mkdir("d") == 0);
    if (must_fork() == 0) {
      check(chdir("d") == 0 && unlink("/usertests.tmp/d") == 0);
      open("g", O_CREATE | O_RDWR);
      exit(0);
    }
    check(wait_status() == 0 && open("d", O_RDONLY) == -1);
  }
}

static void deep(void) {
  for (int i = 0; i < 30; i++)
    check(mkdir("d") == 0 && chdir("d") == 0);
  make_file("f", "deep", 4);
  check(load_file("../../d/d/f", scratch, 9) == 4 && unlink("f") == 0);
  for (int i = 0; i < 30; i++)
    check(chdir("..") == 0 && unlink("d") == 0);
}

static void name_of(int i, char name[8]) {
  snprintf(name, 8, "n%d", i);
}

// One file under many names: the directory grows over many blocks, the indirect ones too, and its
// room is used again.
static void many_names(void) {
  char name[8];
  struct stat st;
  make_file("f", "x", 1);
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < MANY; i++) {
      name_of(i, name);
      check(link("f", name) == 0);
    }
    check(links_of("f") == MANY + 1 && links_of("n0") == MANY + 1);
    for (int i = 0; i < MANY; i++) {
      name_of(i * 7 % MANY, name);
      check(unlink(name) == 0);
    }
  }
  check(stat(".", &st) == 0 && st.size <= (MANY + 10) * sizeof(struct dirent));
  check(links_of("f") == 1 && unlink("f") == 0);
}

static void many_files(void) {
  char name[8];
  for (int i = 0; i < 100; i++) {
    name_of(i, name);
    make_file(name, name, 4);
  }
  for (int i = 99; i >= 0; i--) {
    name_of(i, name);
    check(load_file(name, scratch, 9) == 4 && memcmp(scratch, name, 4) == 0 && unlink(name) == 0);
  }
}

static void rename(void) {
  make_file("a", "abc", 3);
  for (int i = 0; i < 20; i++) {
    check(link("a", "b") == 0 && unlink("a") == 0);
    check(link("b", "a") == 0 && unlink("b") == 0);
  }
  check(load_file("a", scratch, 9) == 3 && unlink("a") == 0);
}

const struct test directory_tests[] = {
    {"directory", make_and_remove, false},
    {"directory-dots", dots, false},
    {"directory-change", change, false},
    {"directory-as-file", as_file, false},
    {"directory-links", link_counts, false},
    {"directory-long-names", long_names, false},
    {"directory-paths", paths, false},
    {"directory-empty-name", empty_name, false},
    {"directory-removed", removed_under_feet, false},
    {"directory-removed-other", removed_by_other, false},
    {"directory-deep", deep, false},
    {"directory-many-names", many_names, true},
    {"directory-many-files", many_files, false},
    {"directory-rename", rename, false},
    {NULL, NULL, false},
};
