// SPDX-License-Identifier: MIT
//
// Limits fixed at build time.
#pragma once

#define HART_MAX      32   // harts in use; the device tree may have more
#define NAME_SIZE     16   // a thread's or process's name, with the terminator
#define NPROC_DEFAULT 512  // processes, zombies included; nproc= in the boot arguments
#define FILES_MAX     16   // open files a process
#define ARGS_MAX      32   // exec arguments
#define PATH_MAX      128  // a path, with the terminator
