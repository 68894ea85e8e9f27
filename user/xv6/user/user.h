// SPDX-License-Identifier: MIT
//
// The library of a program written for xv6-riscv.  A function that the program has itself replaces
// the library's.  One function a line: the makefile keeps these names of user/lib/ and hides the
// others.
#pragma once

#include "../kernel/types.h"

#define SBRK_ERROR ((char *)-1)

struct stat;

int fork(void);
int exit(int) __attribute__((noreturn));
int wait(int *);
int pipe(int *);
int read(int, void *, int);
int write(int, const void *, int);
int close(int);
int kill(int);
int exec(const char *, char **);
int open(const char *, int);
int mknod(const char *, short, short);
int unlink(const char *);
int fstat(int, struct stat *);
int link(const char *, const char *);
int mkdir(const char *);
int chdir(const char *);
int dup(int);
int getpid(void);
char *sbrk(int);
char *sbrklazy(int);
char *sys_sbrk(int, int);
int sleep(int);
int pause(int);
int uptime(void);

int stat(const char *, struct stat *);
char *gets(char *, int);
int atoi(const char *);
char *strcpy(char *, const char *);
char *strchr(const char *, char);
int strcmp(const char *, const char *);
uint strlen(const char *);
void *memset(void *, int, uint);
void *memmove(void *, const void *, int);
void *memcpy(void *, const void *, uint);
int memcmp(const void *, const void *, uint);

void printf(const char *, ...) __attribute__((format(printf, 1, 2)));
void fprintf(int, const char *, ...) __attribute__((format(printf, 2, 3)));

void *malloc(uint);
void free(void *);
