// SPDX-License-Identifier: MIT
//
// The library of user programs: system calls, printing, strings, memory, options.
// The stack of a program is one page: keep frames small, put buffers in static memory.
#pragma once

#include "kern/lib/abi.h"
#include "kern/lib/errno.h"
#include "kern/lib/types.h"

#include <stdarg.h>

typedef unsigned int uint;
typedef unsigned short ushort;
typedef unsigned char uchar;

// System calls (user/lib/syscall.c).  1 to 21 return -1 on any failure, the later ones a negative
// errno.
int fork(void);
_Noreturn void exit(int status);
int wait(int *status);
int pipe(int fd[2]);
int read(int fd, void *buf, int n);
int kill(int pid);
int exec(const char *path, char *const argv[]);
#define ARGS(...) ((char *const *)(const char *const[]){__VA_ARGS__, NULL})  // an argv of literals
int fstat(int fd, struct stat *st);
int chdir(const char *path);
int dup(int fd);
int getpid(void);
char *sys_sbrk(int n, int how);  // enum sbrk_how
char *sbrk(int n);
char *sbrklazy(int n);
int sleep(int ticks);
int pause(int ticks);
int uptime(void);
int open(const char *path, int flags);
int write(int fd, const void *buf, int n);
int mknod(const char *path, short major, short minor);
int unlink(const char *path);
int link(const char *old, const char *new);
int mkdir(const char *path);
int close(int fd);
int poweroff(int code);
int stackinfo(struct stack_info *info, int n);
int procinfo(struct process_info *info, int n);
int meminfo(struct memory_info *info);
int stacklimit(uint64 pages);
int sync(void);
int reap(int *status);

// Make any call by number: what tests need.
long syscall(long number, ...);

// Printing (user/lib/printf.c): % [-0] [width] [.precision] [l ll z] and one of d i u x X o c s p
// %. One call writes in one piece as far as 128 bytes go.  Returns the length of the whole text.
int printf(const char *format, ...) __attribute__((format(__printf__, 1, 2)));
int fprintf(int fd, const char *format, ...) __attribute__((format(__printf__, 2, 3)));
int vfprintf(int fd, const char *format, va_list args) __attribute__((format(__printf__, 2, 0)));

// Print into dst, at most size bytes with the terminator.  Returns the length the whole text has.
int snprintf(char *dst, size_t size, const char *format, ...)
    __attribute__((format(__printf__, 3, 4)));
int vsnprintf(char *dst, size_t size, const char *format, va_list args)
    __attribute__((format(__printf__, 3, 0)));

// Strings (user/lib/string.c).
void *memset(void *dst, int c, size_t n);
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
int memcmp(const void *a, const void *b, size_t n);
char *strcpy(char *dst, const char *src);
size_t strlcpy(char *dst, const char *src, size_t size);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
size_t strlen(const char *s);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *word);
int tolower(int c);

// Numbers (user/lib/number.c).  Base 0 takes the prefixes 0x and 0.  Out of range: the nearest.
long strtol(const char *s, char **end, int base);
int atoi(const char *s);

// Memory (user/lib/malloc.c).  16-byte aligned; NULL when there is no more.
void *malloc(size_t n);
void *calloc(size_t count, size_t size);
void *realloc(void *p, size_t n);
void free(void *p);

// Take all memory there is, by sbrk, and return how many bytes.
uint64 sbrk_all(void);

// Take all memory there is and give it back, so that nothing stays in a cache.  Returns the pages.
long free_pages(void);

// Return how many are missing after something.  The grader stops here and looks at both.
long pages_lost(long before, long after);

// Options (user/lib/getopt.c), as in POSIX.  Returns the letter, '?' after a message, or -1.
extern char *optarg;
extern int optind;
int getopt(int argc, char *const argv[], const char *options);

// Files (user/lib/file.c).
// Read a line of at most max - 1 bytes, newline kept.  An empty string is end of file.
char *gets(char *buf, int max);
// Read a line from fd the same way.  Returns its length, 0 at end of file, -1 on a failed read.
int readline(int fd, char *buf, int max);
// Write all n bytes.  Returns n or -1.
int writeall(int fd, const void *buf, int n);
int stat(const char *path, struct stat *st);
// Print the message and a newline to standard error and exit(1).
_Noreturn void die(const char *format, ...) __attribute__((format(__printf__, 1, 2)));
