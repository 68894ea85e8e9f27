// SPDX-License-Identifier: MIT
//
// help: what the shell understands.  Programs are the executable files of /; of one that is not in
// the table below, only the name is printed.

#include "user/user.h"

static const struct {
  const char *name, *does;
} known[] = {
    {"bench", "[name...]  instructions that operations take"},
    {"cat", "[file...]  print files, or what is typed"},
    {"crashload", "processes phases  what make crash records the disk of"},
    {"echo", "[word...]  print words"},
    {"forkbomb", "[-z] file  fork without end, until the file exists; run it with limit"},
    {"forktest", "fork until it fails"},
    {"fuzz", "[-s seed] [-n calls]  make hostile system calls, and count what is left"},
    {"gradeuser", "used by the graded suite"},
    {"grep", "[-c] [-i] [-n] [-v] pattern [file...]  print lines that match"},
    {"help", "print this"},
    {"init", "the first process: runs shells"},
    {"kill", "pid...  kill processes"},
    {"kstacks", "[-p]  kernel stacks as a table and a picture; -p: only the table"},
    {"limit", "n command...  run it with at most n kernel stacks"},
    {"ln", "old new  give a file another name"},
    {"ls", "[file...]  list files"},
    {"mkdir", "dir...  make directories"},
    {"neighbour", "what an overflow does to another process's memory"},
    {"poweroff", "[code]  switch the machine off"},
    {"provoke", "[name...]  make the kernel fault; without a name: list the faults"},
    {"ps", "[-m]  processes and memory; -m: only memory"},
    {"rm", "file...  remove files"},
    {"sh", "[file | -c commands]  another shell"},
    {"sharing", "make the same calls on two harts: make sharing"},
    {"sleep", "ticks  wait that many tenths of a second"},
    {"storm", "[step...]  do things with little stack: make storm"},
    {"stressfs", "write files at once"},
    {"sync", "wait until what was written is on the disk"},
    {"tour", "recursion, array, stray, dead, slip: call what a lab breaks"},
    {"true", "do nothing"},
    {"usertests", "[-l] [-q] [name...]  test the kernel from user mode"},
    {"victim", "call count  make a call that a test kills, count times"},
    {"wc", "[file...]  count lines, words and bytes"},
    {"zombie", "leave a process that its parent does not wait for"},
};

static const char *does(const char *name) {
  for (uint i = 0; i < sizeof(known) / sizeof(known[0]); i++)
    if (strcmp(known[i].name, name) == 0)
      return known[i].does;
  return "";
}

static bool is_program(const char *path) {
  char magic[4];
  struct stat st;
  int fd = open(path, O_RDONLY);
  if (fd < 0)
    return false;
  bool yes = fstat(fd, &st) == 0 && st.type == T_FILE &&
             read(fd, magic, sizeof(magic)) == sizeof(magic) && memcmp(magic, "\177ELF", 4) == 0;
  close(fd);
  return yes;
}

int main(void) {
  struct dirent entry;
  char path[DIRSIZ + 2] = "/";
  int fd = open("/", O_RDONLY);
  if (fd < 0)
    die("help: cannot open /");
  printf("In the shell: cd [dir], exit [status];  a; b   a & (in the background)   a | b   (a; b)\n"
         "  < file   > file   >> file   'words' \"words\"   # comment\n"
         "Keys: Backspace, ^W (word), ^U (line), ^C (drop the line), ^D (end), ^P (processes)\n"
         "Programs:\n");
  while (read(fd, &entry, sizeof(entry)) == sizeof(entry)) {
    memcpy(path + 1, entry.name, DIRSIZ);
    if (entry.inum != 0 && is_program(path))
      printf("  %-9s %s\n", path + 1, does(path + 1));
  }
  return 0;
}
