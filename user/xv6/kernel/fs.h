// SPDX-License-Identifier: MIT
//
// The format of a disk.
#pragma once

#include "types.h"

#define ROOTINO   1
#define BSIZE     1024
#define FSMAGIC   0x10203040
#define NDIRECT   12
#define NINDIRECT (BSIZE / sizeof(uint))
#define MAXFILE   (NDIRECT + NINDIRECT)  // blocks

struct superblock {
  uint magic;
  uint size, nblocks, ninodes, nlog;
  uint logstart, inodestart, bmapstart;
};

struct dinode {
  short type, major, minor, nlink;
  uint size;
  uint addrs[NDIRECT + 1];
};

#define IPB           (BSIZE / sizeof(struct dinode))
#define IBLOCK(i, sb) ((i) / IPB + (sb).inodestart)
#define BPB           (BSIZE * 8)
#define BBLOCK(b, sb) ((b) / BPB + (sb).bmapstart)

#define DIRSIZ 14

struct dirent {
  ushort inum;
  char name[DIRSIZ];
};
