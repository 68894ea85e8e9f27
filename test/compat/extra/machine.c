// SPDX-License-Identifier: MIT
//
// A program in the style of those for xv6: memory, processes, what the kernel's headers say.  Exit
// status 0, or the number of the line that failed.

#include "kernel/file.h"
#include "kernel/memlayout.h"
#include "kernel/param.h"
#include "kernel/riscv.h"
#include "kernel/sleeplock.h"
#include "kernel/spinlock.h"
#include "kernel/stat.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vm.h"
#include "user/user.h"

#define CHECK(ok)                                                                                  \
  if (!(ok))                                                                                       \
  exit(__LINE__ & 0xFF)

int raw(int number, uint64 first) {
  register uint64 a0 asm("a0") = first;
  register uint64 a7 asm("a7") = number;
  asm volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
  return a0;
}

int status_of(char *address) {
  int status, pid = fork();
  if (pid == 0) {
    *(volatile char *)address = 1;
    exit(0);
  }
  CHECK(pid > 0 && wait(&status) == pid);
  return status;
}

int main(int argc, char *argv[]) {
  CHECK(argc <= MAXARG && PGROUNDDOWN(r_sp()) + USERSTACK * PGSIZE <= (uint64)sbrk(0));
  CHECK(PGROUNDUP(PGSIZE - 1) == PGSIZE && PGROUNDUP(PGSIZE + 1) == 2 * PGSIZE);
  CHECK(status_of((char *)TRAMPOLINE) == -1 && status_of((char *)TRAPFRAME) == -1);
  CHECK(status_of((char *)KERNBASE) == -1 && status_of((char *)PHYSTOP) == -1);
  CHECK(sbrk(0x7FFFFFFF) == SBRK_ERROR);
  char *lazy = sbrklazy(1 << 30);
  CHECK(lazy != SBRK_ERROR && status_of(lazy + (1 << 29)) == 0);
  CHECK(sys_sbrk(-(1 << 30), SBRK_EAGER) == lazy + (1 << 30) && sys_sbrk(0, SBRK_LAZY) == lazy);
  CHECK(raw(SYS_getpid, 0) == getpid() && raw(SYS_pause, 0) == 0 && raw(SYS_uptime, 0) >= 0);
  CHECK(mknod("terminal", CONSOLE, 0) == 0 && raw(SYS_unlink, (uint64) "terminal") == 0);
  CHECK(r_time() > 0 && pause(1) == 0 && sleep(0) == 0);
  uint64 *table = malloc(PGSIZE);
  CHECK(table && PTE_FLAGS(PA2PTE(table) | PTE_V | PTE_U) == (PTE_V | PTE_U));
  free(table);
  exit(0);
}
