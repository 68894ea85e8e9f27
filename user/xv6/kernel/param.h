// SPDX-License-Identifier: MIT
//
// Limits.  Where this kernel has none of the kind, the number is that of an xv6.
#pragma once

#define NPROC     512  // nproc= changes it
#define NCPU      32
#define NOFILE    16  // open files a process
#define NFILE     100
#define NINODE    50
#define NDEV      10
#define ROOTDEV   1
#define MAXARG    32    // arguments of exec
#define MAXPATH   128   // bytes of a path, with the terminator
#define USERSTACK 1     // pages
#define FSSIZE    2000  // blocks

#define MAXOPBLOCKS 10  // blocks that one operation writes
#define LOGBLOCKS   (MAXOPBLOCKS * 3)
#define LOGSIZE     LOGBLOCKS
#define NBUF        (MAXOPBLOCKS * 3)
