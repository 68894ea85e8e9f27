// SPDX-License-Identifier: MIT
//
// Executables: ELF64, little-endian, RISC-V.  System V ABI, "Object Files"; RISC-V ELF psABI.
#pragma once

#include "kern/lib/types.h"

struct inode;
struct space;

#define ELF_MAGIC "\177ELF"
enum { ELF_CLASS_64 = 2, ELF_DATA_LITTLE = 1, ELF_VERSION = 1, ELF_EXEC = 2, ELF_RISCV = 243 };
enum elf_segment_type { ELF_LOAD = 1 };
enum elf_segment_flags { ELF_X = 1, ELF_W = 2, ELF_R = 4 };

struct elf_header {
  char magic[4];
  uint8 class, data, ident_version, abi;
  uint8 pad[8];
  uint16 type, machine;
  uint32 version;
  uint64 entry;
  uint64 phoff, shoff;
  uint32 flags;
  uint16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
  uint32 type, flags;
  uint64 offset;
  uint64 vaddr, paddr;
  uint64 filesz, memsz;
  uint64 align;
};

_Static_assert(sizeof(struct elf_header) == 64, "as in the file");
_Static_assert(sizeof(struct elf_segment) == 56, "as in the file");

// Load every segment of the file into the space, which is empty; *entry gets the address of the
// first instruction.  Returns 0, -ENOEXEC when the file is not a valid executable, or another
// negative errno; after an error the space may hold a part.  Sleeps.  Holds: the inode's lock.
int elf_load(struct space *space, struct inode *file, uva_t *entry);
