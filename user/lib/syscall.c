// SPDX-License-Identifier: MIT
//
// System calls: number in a7, arguments in a0 up, result in a0; all other registers survive.

#include "user/user.h"

#define CALL(number, a, b, c)                                                                      \
  ({                                                                                               \
    register long a0 __asm__("a0") = (long)(a);                                                    \
    register long a1 __asm__("a1") = (long)(b);                                                    \
    register long a2 __asm__("a2") = (long)(c);                                                    \
    register long a7 __asm__("a7") = (number);                                                     \
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");                   \
    a0;                                                                                            \
  })

int fork(void) {
  return (int)CALL(SYS_fork, 0, 0, 0);
}

_Noreturn void exit(int status) {
  for (;;)
    CALL(SYS_exit, status, 0, 0);
}

int wait(int *status) {
  return (int)CALL(SYS_wait, status, 0, 0);
}

int pipe(int fd[2]) {
  return (int)CALL(SYS_pipe, fd, 0, 0);
}

int read(int fd, void *buf, int n) {
  return (int)CALL(SYS_read, fd, buf, n);
}

int kill(int pid) {
  return (int)CALL(SYS_kill, pid, 0, 0);
}

int exec(const char *path, char *const argv[]) {
  return (int)CALL(SYS_exec, path, argv, 0);
}

int fstat(int fd, struct stat *st) {
  return (int)CALL(SYS_fstat, fd, st, 0);
}

int chdir(const char *path) {
  return (int)CALL(SYS_chdir, path, 0, 0);
}

int dup(int fd) {
  return (int)CALL(SYS_dup, fd, 0, 0);
}

int getpid(void) {
  return (int)CALL(SYS_getpid, 0, 0, 0);
}

char *sys_sbrk(int n, int how) {
  return (char *)CALL(SYS_sbrk, n, how, 0);
}

char *sbrk(int n) {
  return sys_sbrk(n, SBRK_EAGER);
}

char *sbrklazy(int n) {
  return sys_sbrk(n, SBRK_LAZY);
}

int sleep(int ticks) {
  return (int)CALL(SYS_sleep, ticks, 0, 0);
}

int pause(int ticks) {
  return sleep(ticks);
}

int uptime(void) {
  return (int)CALL(SYS_uptime, 0, 0, 0);
}

int open(const char *path, int flags) {
  return (int)CALL(SYS_open, path, flags, 0);
}

int write(int fd, const void *buf, int n) {
  return (int)CALL(SYS_write, fd, buf, n);
}

int mknod(const char *path, short major, short minor) {
  return (int)CALL(SYS_mknod, path, major, minor);
}

int unlink(const char *path) {
  return (int)CALL(SYS_unlink, path, 0, 0);
}

int link(const char *old, const char *new) {
  return (int)CALL(SYS_link, old, new, 0);
}

int mkdir(const char *path) {
  return (int)CALL(SYS_mkdir, path, 0, 0);
}

int close(int fd) {
  return (int)CALL(SYS_close, fd, 0, 0);
}

int poweroff(int code) {
  return (int)CALL(SYS_poweroff, code, 0, 0);
}

int stackinfo(struct stack_info *info, int n) {
  return (int)CALL(SYS_stackinfo, info, n, 0);
}

int procinfo(struct process_info *info, int n) {
  return (int)CALL(SYS_procinfo, info, n, 0);
}

int meminfo(struct memory_info *info) {
  return (int)CALL(SYS_meminfo, info, 0, 0);
}

int stacklimit(uint64 pages) {
  return (int)CALL(SYS_stacklimit, pages, 0, 0);
}

int sync(void) {
  return (int)CALL(SYS_sync, 0, 0, 0);
}

int reap(int *status) {
  return (int)CALL(SYS_reap, status, 0, 0);
}

long syscall(long number, ...) {
  va_list args;
  va_start(args, number);
  long a = va_arg(args, long), b = va_arg(args, long), c = va_arg(args, long);
  va_end(args);
  return CALL(number, a, b, c);
}
