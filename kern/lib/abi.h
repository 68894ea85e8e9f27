// SPDX-License-Identifier: MIT
//
// The binary interface to user programs and to disk images, shared by the kernel, user/ and mkfs.
// Calls 1 to 21, struct stat, struct dirent and the disk format are those of xv6-riscv; calls from
// 64 up are our own and return negative errno.  docs/interface.md describes it.
#pragma once

#include "kern/lib/types.h"

// Every call: name, number.  Our own:
//   poweroff(code)                      sync, then end the machine, code 0 to 255
//   stackinfo(struct stack_info *, n)   fill at most n, return how many there are
//   procinfo(struct process_info *, n)  fill at most n, return how many there are
//   meminfo(struct memory_info *)
//   stacklimit(pages)                   enter a new account, return its id
//   sync()                              wait until the changes of earlier calls are on the disk
//   reap(int *status)                   wait, but only for a child that has ended
#define SYSTEM_CALLS(CALL)                                                                         \
  CALL(fork, 1)                                                                                    \
  CALL(exit, 2)                                                                                    \
  CALL(wait, 3)                                                                                    \
  CALL(pipe, 4)                                                                                    \
  CALL(read, 5)                                                                                    \
  CALL(kill, 6)                                                                                    \
  CALL(exec, 7)                                                                                    \
  CALL(fstat, 8)                                                                                   \
  CALL(chdir, 9)                                                                                   \
  CALL(dup, 10)                                                                                    \
  CALL(getpid, 11)                                                                                 \
  CALL(sbrk, 12)                                                                                   \
  CALL(sleep, 13)                                                                                  \
  CALL(uptime, 14)                                                                                 \
  CALL(open, 15)                                                                                   \
  CALL(write, 16)                                                                                  \
  CALL(mknod, 17)                                                                                  \
  CALL(unlink, 18)                                                                                 \
  CALL(link, 19)                                                                                   \
  CALL(mkdir, 20)                                                                                  \
  CALL(close, 21)                                                                                  \
  CALL(poweroff, 64)                                                                               \
  CALL(stackinfo, 65)                                                                              \
  CALL(procinfo, 66)                                                                               \
  CALL(meminfo, 67)                                                                                \
  CALL(stacklimit, 68)                                                                             \
  CALL(sync, 69)                                                                                   \
  CALL(reap, 70)

#define NUMBER_CALL(name, number) SYS_##name = number,
enum syscall_number { SYSTEM_CALLS(NUMBER_CALL) };
#undef NUMBER_CALL

enum open_flags { O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREATE = 0x200, O_TRUNC = 0x400 };
enum file_type { T_DIR = 1, T_FILE = 2, T_DEVICE = 3 };
enum sbrk_how { SBRK_EAGER = 1, SBRK_LAZY = 2 };
enum device_major { DEV_CONSOLE = 1, DEV_CRASH = 64 };  // our own from 64 up

struct stat {
  int dev;
  unsigned ino;
  short type;
  short nlink;
  int pad;
  uint64 size;
};

#define DIRSIZ 14
struct dirent {
  unsigned short inum;
  char name[DIRSIZ];  // not terminated when full
};

// One kernel stack.
#define STACK_PAGES 4
enum stack_kind { STACK_THREAD = 1, STACK_IDLE, STACK_EMERGENCY, STACK_INTERRUPT, STACK_SHORT };
struct stack_info {
  uint64 lo, hi;  // bounds
  uint64 sp;      // saved stack pointer, or 0 while the stack is running
  uint64 depth;   // bytes in use now (as of the last switch or trap)
  uint64 peak;    // most bytes ever in use by this owner
  int pid;        // 0: the kernel's own
  int hart;       // index of the hart it is or was last on
  int kind;       // enum stack_kind
  int running;    // 1 while a hart runs on it
  int account;    // that pays for it, 0: none
  int pages;      // mapped, from hi down
  char name[16];
};

enum process_state { PROCESS_RUNNING = 1, PROCESS_READY, PROCESS_SLEEPING, PROCESS_ZOMBIE };
struct process_info {
  int pid, parent, state, hart;
  int account, within;  // that pays for its kernel stack, and the one around; 0: none
  uint64 used, limit;   // of the account, pages of kernel stacks; all ones: no limit
  uint64 pages;         // user pages mapped
  char name[16];
};

struct memory_info {
  uint64 total;     // bytes of RAM that the page allocator manages
  uint64 free;      // bytes free, caches included, reservations left out
  uint64 reserved;  // bytes promised to copy-on-write pages
  uint64 stacks;    // kernel stacks mapped, cached ones included
  uint64 cached;    // of these, in the caches of harts
  uint64 lazy;      // stacks unmapped, whose memory waits for a fence of all harts
  // Since boot:
  uint64 mapped;    // stacks mapped anew
  uint64 reused;    // stacks taken from a cache
  uint64 unmapped;  // stacks that found no room in a cache
  uint64 fences;    // times that all harts had to fence
  uint64 refused;   // allocations that failed, all caches being empty
  uint64 grown;     // stacks enlarged
};

// Disk format.
#define BLOCK_SIZE     1024
#define SECTOR_SIZE    512  // a disk writes one wholly or not at all
#define FS_MAGIC       0x10203040
#define ROOT_INO       1
#define NDIRECT        12
#define NINDIRECT      (BLOCK_SIZE / 4)
#define MAXFILE        (NDIRECT + NINDIRECT)  // blocks
#define LOG_OP_MAX     14                     // blocks that one transaction may change
#define LOG_BLOCKS_MAX (SECTOR_SIZE / 4 - 1)  // that the first sector of the log's header can name

struct superblock {
  uint32 magic;
  uint32 size;     // blocks of the image
  uint32 nblocks;  // data blocks
  uint32 ninodes;
  uint32 nlog;  // blocks of the log, its header included
  uint32 logstart;
  uint32 inodestart;
  uint32 bmapstart;
};

struct dinode {
  short type;  // 0: free
  short major, minor;
  short nlink;
  uint32 size;
  uint32 addrs[NDIRECT + 1];
};

#define INODES_PER_BLOCK (BLOCK_SIZE / sizeof(struct dinode))
#define BITS_PER_BLOCK   (BLOCK_SIZE * 8)
