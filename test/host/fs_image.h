// SPDX-License-Identifier: MIT
//
// Images for the tests of kern/fs, made and checked by code of their own.
#pragma once

#include "test/host/fs_stubs.h"

// Make an empty file system of that many blocks at the front of the fake disk.
void image_make(uint32 blocks, uint32 ninodes, uint32 nlog);

// Return what is wrong with the image on the fake disk, or NULL.  Recovered images have no orphans
// and no block in use that nothing refers to.
const char *image_check(void);

// Return a number for all that can be seen by walking from the root: names, types, contents.
uint64 image_digest(void);

// Return the number of free blocks.
uint32 image_free_blocks(void);

struct superblock *image_super(void);
struct dinode *image_inode(uint32 inum);
